/**
 * DER, as much of X.690 as certificates need: definite lengths in their shortest form, low tag numbers, no BER.
 *
 * The reader never recurses and never allocates from a length it has not checked against the bytes at hand.
 */

/** Most bytes of one outermost value. An ML-DSA-87 certificate has about 8 kB; a longer value is not one of ours. */
export const DER_BYTES_MAX = 64 * 1024;

/** Most components of an object identifier; the longest in use here has 11. */
const OID_COMPONENTS_MAX = 20;

/** Universal and context tags by their names in X.680. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The bytes are not DER, or not the structure that was asked for. */
export class DerError extends Error {
  override readonly name = "DerError";
}

/** One tag-length-value: its content, and its whole encoding as it stood. */
export type Tlv = { readonly tag: number; readonly body: Uint8Array; readonly raw: Uint8Array };

/** Reads a run of values from front to back. Every method throws {@link DerError} on anything unexpected. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    if (bytes.length > DER_BYTES_MAX)
      throw new DerError(`${bytes.length} bytes are more than ${DER_BYTES_MAX}`);
    this.#bytes = bytes;
  }

  /** Whether everything was read. */
  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The tag of the next value, or `undefined` at the end. */
  get peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The next value, whatever its tag. */
  any(): Tlv {
    const start = this.#at;
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw new DerError("tag numbers above 30 are not used");
    const length = this.#length();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new DerError("a value is longer than what holds it");
    const body = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return { tag, body, raw: this.#bytes.subarray(start, end) };
  }

  /** The next value, which must have `tag`. */
  next(tag: number): Tlv {
    const found = this.any();
    if (found.tag !== tag) throw new DerError(`tag ${hex(found.tag)} where ${hex(tag)} belongs`);
    return found;
  }

  /** The next value if it has `tag`; otherwise nothing is read. */
  optional(tag: number): Tlv | undefined {
    return this.peek === tag ? this.any() : undefined;
  }

  /** A reader of the content of the next value, which must have `tag`. */
  inside(tag: number): DerReader {
    return new DerReader(this.next(tag).body);
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (!this.done) throw new DerError(`${this.#bytes.length - this.#at} bytes follow the last value`);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new DerError("the bytes end inside a value");
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0) throw new DerError("indefinite lengths are BER, not DER");
    if (count > 3) throw new DerError("a length of more than three bytes");
    let length = 0;
    for (let i = 0; i < count; i += 1) length = length * 256 + this.#byte();
    const shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3;
    if (count !== shortest) throw new DerError("a length that is not in its shortest form");
    return length;
  }
}

/** The one value that `bytes` consist of. */
export function readOnly(bytes: Uint8Array, tag: number): Tlv {
  const reader = new DerReader(bytes);
  const value = reader.next(tag);
  reader.end();
  return value;
}

/** A BOOLEAN: DER knows 0x00 and 0xff only. */
export function readBoolean(value: Tlv): boolean {
  const [byte] = value.body;
  if (value.body.length !== 1 || (byte !== 0x00 && byte !== 0xff)) throw new DerError("a malformed BOOLEAN");
  return byte === 0xff;
}

/** An INTEGER that is not negative, as its magnitude without leading zeros (zero is one zero byte). */
export function readUnsigned(value: Tlv): Uint8Array {
  const [first, second] = value.body;
  if (first === undefined) throw new DerError("an empty INTEGER");
  if (first >= 0x80) throw new DerError("a negative INTEGER");
  if (first === 0 && second !== undefined && second < 0x80)
    throw new DerError("an INTEGER with needless zeros");
  return first === 0 && second !== undefined ? value.body.subarray(1) : value.body;
}

/** A small INTEGER (at most 2³¹ − 1), such as a version or a path length. */
export function readSmall(value: Tlv): number {
  const magnitude = readUnsigned(value);
  const number = magnitude.reduce((sum, byte) => sum * 256 + byte, 0);
  if (magnitude.length > 4 || number > 0x7fff_ffff) throw new DerError("an INTEGER out of range");
  return number;
}

/** A BIT STRING of whole bytes. */
export function readBits(value: Tlv): Uint8Array {
  if (value.body[0] !== 0) throw new DerError("a BIT STRING that does not end on a byte");
  return value.body.subarray(1);
}

/** An OBJECT IDENTIFIER in dotted form. */
export function readOid(value: Tlv): string {
  const parts: number[] = [];
  let part = 0;
  let open = false;
  for (const byte of value.body) {
    if (!open && byte === 0x80) throw new DerError("an OBJECT IDENTIFIER with needless zeros");
    part = part * 128 + (byte & 0x7f);
    if (part > 0xffff_ffff) throw new DerError("an OBJECT IDENTIFIER component out of range");
    open = byte >= 0x80;
    if (open) continue;
    parts.push(part);
    part = 0;
    if (parts.length > OID_COMPONENTS_MAX)
      throw new DerError("an OBJECT IDENTIFIER with too many components");
  }
  const [first, ...rest] = parts;
  if (first === undefined || open) throw new DerError("an OBJECT IDENTIFIER that does not end");
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - root * 40, ...rest].join(".");
}

/** UTCTime or GeneralizedTime in the only forms RFC 5280 §4.1.2.5 allows, as milliseconds since 1970. */
export function readTime(value: Tlv): number {
  const text = ascii(value.body);
  const digits =
    value.tag === Tag.utcTime && /^\d{12}Z$/.test(text)
      ? (Number(text.slice(0, 2)) < 50 ? "20" : "19") + text
      : value.tag === Tag.generalizedTime && /^\d{14}Z$/.test(text)
        ? text
        : undefined;
  if (digits === undefined)
    throw new DerError("a time in another form than YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ");
  const iso = digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6.000Z");
  const ms = Date.parse(iso);
  // A day that does not exist is either refused by the parser or rolled over to the next month.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso)
    throw new DerError("a time that does not exist");
  return ms;
}

/** Printable ASCII text; anything else is refused. */
export function ascii(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte < 0x20 || byte > 0x7e) throw new DerError("a character outside printable ASCII");
    text += String.fromCharCode(byte);
  }
  return text;
}

/** One value: `tag`, the shortest length, and `content` joined. */
export function tlv(tag: number, ...content: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = content.reduce((sum, part) => sum + part.length, 0);
  if (size > DER_BYTES_MAX) throw new DerError(`${size} bytes are more than ${DER_BYTES_MAX}`);
  const length =
    size < 0x80
      ? [size]
      : size < 0x100
        ? [0x81, size]
        : size < 0x1_0000
          ? [0x82, size >> 8, size & 0xff]
          : [0x83, size >> 16, (size >> 8) & 0xff, size & 0xff];
  const bytes = new Uint8Array(1 + length.length + size);
  bytes.set([tag, ...length]);
  let at = 1 + length.length;
  for (const part of content) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** SEQUENCE of `content`. */
export function sequence(...content: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return tlv(Tag.sequence, ...content);
}

/** An INTEGER from the magnitude of a number that is not negative. */
export function unsigned(magnitude: Uint8Array): Uint8Array<ArrayBuffer> {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const bytes = magnitude.subarray(start);
  const [first = 0] = bytes;
  if (bytes.length === 0) return tlv(Tag.integer, Uint8Array.of(0));
  return first >= 0x80 ? tlv(Tag.integer, Uint8Array.of(0), bytes) : tlv(Tag.integer, bytes);
}

/** A BIT STRING of whole bytes. */
export function bits(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return tlv(Tag.bitString, Uint8Array.of(0), bytes);
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function oid(dotted: string): Uint8Array<ArrayBuffer> {
  const parts = dotted.split(".").map(Number);
  const [root, second, ...rest] = parts;
  if (
    root === undefined ||
    second === undefined ||
    parts.some((part) => !Number.isSafeInteger(part) || part < 0)
  ) {
    throw new DerError(`${dotted} is not an object identifier`);
  }
  const bytes = [root * 40 + second, ...rest].flatMap((part) => {
    const groups = [part & 0x7f];
    for (let more = Math.floor(part / 128); more > 0; more = Math.floor(more / 128)) {
      groups.unshift((more & 0x7f) | 0x80);
    }
    return groups;
  });
  return tlv(Tag.oid, Uint8Array.from(bytes));
}

/** A time as RFC 5280 §4.1.2.5 asks: UTCTime until 2049, GeneralizedTime after; fractions of a second are cut off. */
export function time(ms: number): Uint8Array<ArrayBuffer> {
  const iso = new Date(ms).toISOString();
  const digits = `${iso.slice(0, 19).replace(/[-:T]/g, "")}Z`;
  if (!/^\d{14}Z$/.test(digits)) throw new DerError(`${iso} is outside the years 0000 to 9999`);
  const year = Number(digits.slice(0, 4));
  return year >= 1950 && year < 2050
    ? tlv(Tag.utcTime, text(digits.slice(2)))
    : tlv(Tag.generalizedTime, text(digits));
}

/** The UTF-8 bytes of a text. */
export function text(value: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(value);
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, "0")}`;
}
