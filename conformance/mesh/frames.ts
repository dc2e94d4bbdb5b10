/** gRPC's length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message"), which are plain text here. */

const HEAD_BYTES = 5;

/** One message. */
export function frame(text: string | Uint8Array): Buffer {
  const body = Buffer.from(text);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Puts messages together again, however the bytes were cut. */
export class Frames {
  #left = Buffer.alloc(0);

  /** The messages that became complete. */
  push(part: Buffer): readonly string[] {
    return this.pushBytes(part).map((message) => message.toString("utf8"));
  }

  /** Likewise, as bytes. */
  pushBytes(part: Buffer): readonly Buffer[] {
    this.#left = Buffer.concat([this.#left, part]);
    const messages: Buffer[] = [];
    while (this.#left.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.#left.readUInt32BE(1);
      if (this.#left.length < end) break;
      messages.push(this.#left.subarray(HEAD_BYTES, end));
      this.#left = this.#left.subarray(end);
    }
    return messages;
  }
}
