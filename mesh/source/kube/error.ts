/** What goes wrong with an API server, in one type. */

/** Reasons of our own, beside those of Kubernetes' `Status` (`NotFound`, `Conflict`, `Expired`, `Forbidden`, ...). */
export const KUBE_REASON = {
  /** No answer: no connection, a broken one, or a refused handshake. */
  unreachable: "Unreachable",
  /** No answer in time. */
  timeout: "ClientTimeout",
  /** A watch that said nothing for longer than a live one does. */
  silent: "WatchSilent",
  /** An answer that is no answer of an API server. */
  malformed: "Malformed",
  /** A kubeconfig or a service account that cannot be used. */
  config: "BadConfig",
  /** A call that the role's table of permissions does not hold. */
  outsideAccess: "OutsideAccess",
} as const;

/** A refused or failed call. Whose move it is follows from `status`: 4xx the caller's, 5xx and 0 the server's or the network's. */
export class KubeError extends Error {
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** The reason of the server's `Status`, or one of `KUBE_REASON`. */
  readonly reason: string;

  constructor(
    { status, reason }: { readonly status: number; readonly reason: string },
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "KubeError";
    this.status = status;
    this.reason = reason;
  }

  /** Whether a watch must begin anew with a list: what it asked for is no longer kept. */
  get isExpired(): boolean {
    return this.status === 410 || this.reason === "Expired" || this.reason === "Gone";
  }

  /** Whether the same call may succeed later without anybody doing anything. */
  get isTransient(): boolean {
    return (
      (this.status === 0 &&
        this.reason !== KUBE_REASON.config &&
        this.reason !== KUBE_REASON.outsideAccess) ||
      this.status === 429 ||
      this.status >= 500
    );
  }
}

/** Whether `error` is an answer with this status: `isStatus(error, 404)` is "there is none". */
export function isStatus(error: unknown, status: number): boolean {
  return error instanceof KubeError && error.status === status;
}
