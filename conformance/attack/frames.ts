/** HTTP/2 frames and header blocks (RFC 9113 §4, RFC 7541 §6), byte for byte, so that they can also be wrong. */

export const Type = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;

/** What a client says first. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

const HEAD_BYTES = 9;
const NONE = Buffer.alloc(0);

/** One frame. */
export function frame(type: number, flags: number, stream: number, payload: Buffer = NONE): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(stream, 5);
  payload.copy(bytes, HEAD_BYTES);
  return bytes;
}

/** Thirty-two bits. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** One setting of a SETTINGS frame. */
export function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** A string without Huffman coding. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([integer(0, 7, bytes.length), bytes]);
}

/** An integer with a prefix of `bits` bits, below the pattern `pattern` (RFC 7541 §5.1). */
export function integer(pattern: number, bits: number, value: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.from([pattern | value]);
  const bytes = [pattern | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128));
  return Buffer.from([...bytes, rest]);
}

/** A field that the reader does not keep. */
export function field(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

/** A field that the reader keeps in its table. */
export function keptField(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
}

/** The head of a request. */
export function request(method: string, authority: string, path = "/"): Buffer {
  return Buffer.concat([
    field(":method", method),
    field(":scheme", "http"),
    field(":authority", authority),
    field(":path", path),
  ]);
}

/** Reads frames off a connection without keeping their payload, and tells of each. */
export class FrameReader {
  #head = Buffer.alloc(0);
  #skip = 0;
  #payload: Buffer[] = [];
  #type = 0;
  readonly #heard: (type: number, payload: Buffer) => void;

  /** `heard` gets the payloads of GOAWAY only; others come empty. */
  constructor(heard: (type: number, payload: Buffer) => void) {
    this.#heard = heard;
  }

  push(part: Buffer): void {
    let rest = part;
    while (rest.length > 0) {
      if (this.#skip > 0) {
        const taken = rest.subarray(0, this.#skip);
        if (this.#type === Type.goAway) this.#payload.push(taken);
        this.#skip -= taken.length;
        rest = rest.subarray(taken.length);
      } else {
        const taken = rest.subarray(0, HEAD_BYTES - this.#head.length);
        this.#head = Buffer.concat([this.#head, taken]);
        rest = rest.subarray(taken.length);
        if (this.#head.length < HEAD_BYTES) return;
        this.#skip = this.#head.readUIntBE(0, 3);
        this.#type = this.#head.readUInt8(3);
        this.#head = Buffer.alloc(0);
      }
      if (this.#skip === 0 && this.#head.length === 0) {
        this.#heard(this.#type, Buffer.concat(this.#payload));
        this.#payload = [];
      }
    }
  }
}
