/** A small gRPC client on `node:http2`: for the command line, for probes, and for tests of the server. */
import * as http2 from "node:http2";
import type { Duplex } from "node:stream";
import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { create, fromBinary } from "@bufbuild/protobuf";
import { encodeFrame } from "./frame.ts";

/** A status other than OK, as the server sent it. */
export class RpcFailure extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "RpcFailure";
    this.code = code;
  }
}

/** Most bytes of one answer that a client keeps. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

const PREFIX_BYTES = 5;

/** gRPC's UNKNOWN: the stream ended without a status. */
const UNKNOWN = 2;

function* takeMessages(pending: { bytes: Buffer }): Generator<Buffer> {
  while (pending.bytes.length >= PREFIX_BYTES) {
    const end = PREFIX_BYTES + pending.bytes.readUInt32BE(1);
    if (end > ANSWER_BYTES_MAX) throw new RpcFailure(UNKNOWN, "answer too large");
    if (pending.bytes.length < end) return;
    yield pending.bytes.subarray(PREFIX_BYTES, end);
    pending.bytes = pending.bytes.subarray(end);
  }
}

function failureOf(fields: http2.IncomingHttpHeaders): RpcFailure | undefined {
  const status = fields["grpc-status"];
  if (status === undefined || status === "0") return undefined;
  const message = fields["grpc-message"]?.toString() ?? "";
  return new RpcFailure(Number(status), decodeURIComponent(message));
}

/** One connection to a server. */
export class GrpcClient {
  readonly #session: http2.ClientHttp2Session;

  /** `authority` is a URL such as `http://127.0.0.1:8086`; `dial` makes the connection where that is not enough. */
  constructor(authority: string, dial?: () => Duplex) {
    this.#session = http2.connect(authority, dial === undefined ? {} : { createConnection: dial });
    // Every open call hears of a broken session by its own "error" or "close".
    this.#session.on("error", () => undefined);
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
  ): Promise<MessageShape<O>> {
    for await (const bytes of this.#call(
      method,
      encodeFrame(method.input, create(method.input, request)),
      signal,
    )) {
      return fromBinary(method.output, bytes);
    }
    throw new RpcFailure(UNKNOWN, "no answer");
  }

  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>, void> {
    const frame = encodeFrame(method.input, create(method.input, request));
    for await (const bytes of this.#call(method, frame, signal)) yield fromBinary(method.output, bytes);
  }

  close(): void {
    this.#session.destroy();
  }

  async *#call(
    method: { readonly parent: { readonly typeName: string }; readonly name: string },
    frame: Buffer,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void> {
    const stream = this.#session.request({
      ":method": "POST",
      ":path": `/${method.parent.typeName}/${method.name}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let failure: RpcFailure | undefined;
    stream.on("response", (fields) => (failure ??= failureOf(fields)));
    stream.on("trailers", (fields) => (failure ??= failureOf(fields)));
    const abort = () => stream.close(http2.constants.NGHTTP2_CANCEL);
    signal.addEventListener("abort", abort, { once: true });
    stream.end(frame);
    const pending = { bytes: Buffer.alloc(0) };
    try {
      for await (const part of stream) {
        if (!(part instanceof Uint8Array)) continue;
        pending.bytes = Buffer.concat([pending.bytes, part]);
        yield* takeMessages(pending);
      }
      signal.throwIfAborted();
      if (failure !== undefined) throw failure;
    } finally {
      signal.removeEventListener("abort", abort);
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
  }
}
