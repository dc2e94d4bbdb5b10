/** The methods that one gRPC listener serves, and the counts of what they did. */
import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageShape,
} from "@bufbuild/protobuf";
import { decodeFrame, encodeFrame, type Frame } from "./frame.ts";
import type { Readable } from "./topic.ts";
import type { Code } from "./status.ts";

/** What a method does with the bytes of one request. Refuses by throwing `RpcError`. */
export type Handler =
  | { readonly kind: "unary"; readonly answer: (body: Uint8Array, signal: AbortSignal) => Promise<Frame> }
  | { readonly kind: "stream"; readonly open: (body: Uint8Array) => Readable };

/** Counts for `grpc_server_*`. */
export interface MethodCounts {
  started: number;
  messagesSent: number;
  readonly handled: Map<Code, number>;
}

/** A registry of methods by HTTP/2 path. */
export class Methods {
  readonly #handlers = new Map<string, Handler>();
  readonly #counts = new Map<string, MethodCounts>();

  /** A method with one request and one answer. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    answer: (request: MessageShape<I>, signal: AbortSignal) => MessageShape<O> | Promise<MessageShape<O>>,
  ): this {
    return this.#add(method, {
      kind: "unary",
      answer: async (body, signal) =>
        encodeFrame(method.output, await answer(decodeFrame(method.input, body), signal)),
    });
  }

  /** A method whose answer is a topic, followed until either side ends it. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    open: (request: MessageShape<I>) => Readable,
  ): this {
    return this.#add(method, { kind: "stream", open: (body) => open(decodeFrame(method.input, body)) });
  }

  find(path: string): Handler | undefined {
    return this.#handlers.get(path);
  }

  /** The counts of the method at `path`; unknown paths share one entry, so that callers cannot make series. */
  counts(path: string): MethodCounts {
    const key = this.#handlers.has(path) ? path : "unknown";
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const fresh: MethodCounts = { started: 0, messagesSent: 0, handled: new Map() };
    this.#counts.set(key, fresh);
    return fresh;
  }

  allCounts(): ReadonlyMap<string, MethodCounts> {
    return this.#counts;
  }

  #add(
    method: { readonly parent: { readonly typeName: string }; readonly name: string },
    handler: Handler,
  ): this {
    this.#handlers.set(`/${method.parent.typeName}/${method.name}`, handler);
    return this;
  }
}
