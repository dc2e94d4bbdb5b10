/** gRPC status codes, by the names of the gRPC specification (doc/statuscodes.md). Only those we use. */
export const Code = {
  Ok: 0,
  /** The caller left. Counted, never sent. */
  Cancelled: 1,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  Unauthenticated: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** A refusal that a caller is meant to read: thrown by a method, sent as `grpc-status` and `grpc-message`. */
export class RpcError extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RpcError";
    this.code = code;
  }
}

/**
 * The header fields or trailers that carry a status.
 *
 * `grpc-message` is percent-encoded (gRPC over HTTP/2, "Percent-Encoded"); spaces stay readable.
 */
export function statusFields(code: Code, message: string): Record<string, string> {
  const fields: Record<string, string> = { "grpc-status": String(code) };
  if (message !== "") {
    fields["grpc-message"] = encodeURIComponent(message.toWellFormed()).replaceAll("%20", " ");
  }
  return fields;
}
