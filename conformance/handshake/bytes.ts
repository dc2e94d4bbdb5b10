/** TLS's presentation language (RFC 8446 §3): numbers and vectors, written and read. */

/** A message that is not what it claims to be. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}

export const concat = (...parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);
export const u8 = (value: number): Buffer => Buffer.of(value);
export const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff);
const u24 = (value: number): Buffer => Buffer.of(value >> 16, (value >> 8) & 0xff, value & 0xff);
export const vec8 = (...parts: readonly Uint8Array[]): Buffer => prefixed(u8, parts);
export const vec16 = (...parts: readonly Uint8Array[]): Buffer => prefixed(u16, parts);
export const vec24 = (...parts: readonly Uint8Array[]): Buffer => prefixed(u24, parts);

function prefixed(length: (value: number) => Buffer, parts: readonly Uint8Array[]): Buffer {
  const body = concat(...parts);
  return concat(length(body.length), body);
}

/** Reads from front to back; running out of bytes is {@link Malformed}. */
export class ByteReader {
  #rest: Buffer;

  constructor(bytes: Buffer) {
    this.#rest = bytes;
  }

  get done(): boolean {
    return this.#rest.length === 0;
  }

  take(length: number): Buffer {
    if (length > this.#rest.length) throw new Malformed(`${length} bytes wanted, ${this.#rest.length} left`);
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }

  u8 = (): number => this.take(1).readUIntBE(0, 1);
  u16 = (): number => this.take(2).readUIntBE(0, 2);
  u24 = (): number => this.take(3).readUIntBE(0, 3);
  vec8 = (): Buffer => this.take(this.u8());
  vec16 = (): Buffer => this.take(this.u16());
  vec24 = (): Buffer => this.take(this.u24());
}
