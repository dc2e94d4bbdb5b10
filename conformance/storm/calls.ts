/** Streaming calls of gRPC over `node:http2`, and as much of Protocol Buffers as simulated proxies need. */
import { connect, constants, type ClientHttp2Session } from "node:http2";

const PREFIX_BYTES = 5;
const LENGTH_DELIMITED = 2;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** A message of strings and small numbers, by the numbers of their fields. */
export function message(fields: readonly (readonly [number, string | number])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === "number") return [varint(number << 3), varint(value)];
      const text = Buffer.from(value);
      return [varint((number << 3) | LENGTH_DELIMITED), varint(text.length), text];
    }),
  );
}

/** The values of one field of a message that hold bytes or 32 bits. */
export function* values(bytes: Buffer, wanted: number): Generator<Buffer> {
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes.readUInt8(at);
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = number();
    const kind = key & 7;
    if (kind === 0) {
      number();
      continue;
    }
    const length = kind === LENGTH_DELIMITED ? number() : kind === 1 ? 8 : 4;
    if (Math.floor(key / 8) === wanted) yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** One connection, made anew after it broke. */
export class Caller {
  readonly #authority: string;
  #session: ClientHttp2Session | undefined;

  constructor(port: number) {
    this.#authority = `http://127.0.0.1:${port}`;
  }

  /** The messages of one stream, to its end. */
  async *follow(path: string, request: Buffer): AsyncGenerator<Buffer, void> {
    const stream = this.#current().request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(request.length, 1);
    stream.end(Buffer.concat([prefix, request]));
    let pending = Buffer.alloc(0);
    try {
      for await (const part of stream) {
        if (!(part instanceof Uint8Array)) continue;
        pending = Buffer.concat([pending, part]);
        while (pending.length >= PREFIX_BYTES) {
          const end = PREFIX_BYTES + pending.readUInt32BE(1);
          if (pending.length < end) break;
          yield pending.subarray(PREFIX_BYTES, end);
          pending = pending.subarray(end);
        }
      }
    } finally {
      stream.close(constants.NGHTTP2_CANCEL);
    }
  }

  #current(): ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = connect(this.#authority);
      // Every open call hears of a broken session itself.
      this.#session.on("error", () => undefined);
    }
    return this.#session;
  }
}
