/** Records on a connection: whole ones, opened once there are keys. */
import type { Socket } from "node:net";
import { ByteReader, concat, Malformed, u16, u8 } from "./bytes.ts";
import type { Protection } from "./key-schedule.ts";

export const Content = { changeCipherSpec: 20, alert: 21, handshake: 22, application: 23 } as const;

/** The peer ended the connection, in one of the ways it can. */
export type End =
  | { readonly type: "alert"; readonly description: number; readonly isEncrypted: boolean }
  | { readonly type: "closed" }
  | { readonly type: "reset" }
  | { readonly type: "timed_out" }
  /** The peer sent what no TLS server may send. */
  | { readonly type: "misbehaved"; readonly detail: string };

/** Thrown inside the prober; becomes an outcome at its edge. */
export class Ended extends Error {
  override readonly name = "Ended";
  readonly end: End;

  constructor(end: End) {
    super(end.type);
    this.end = end;
  }
}

const RECORD_BYTES_MAX = 16_384 + 256;

/** A connection whose records are read one by one. */
export class Transport {
  readonly #socket: Socket;
  #read: Buffer = Buffer.alloc(0);
  #handshake: Buffer = Buffer.alloc(0);
  #end: End | undefined;
  #wake: () => void = () => undefined;
  receive: Protection | undefined;

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    const timer = setTimeout(() => this.#stop({ type: "timed_out" }), timeoutMs);
    socket.on("data", (bytes: Buffer) => {
      this.#read = concat(this.#read, bytes);
      this.#wake();
    });
    socket.once("end", () => this.#stop({ type: "closed" }));
    socket.once("error", () => this.#stop({ type: "reset" }));
    socket.once("close", () => {
      clearTimeout(timer);
      this.#stop({ type: "closed" });
    });
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Ends our direction only. */
  finish(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  sendPlain(type: number, content: Uint8Array): void {
    this.send(concat(u8(type), u16(0x0301), u16(content.length), content));
  }

  /** The next record that is not a change of cipher; an alert is thrown. */
  async record(): Promise<{ readonly type: number; readonly content: Buffer }> {
    for (;;) {
      const header = await this.#need(5);
      const reader = new ByteReader(header);
      const type = reader.u8();
      reader.u16();
      const length = reader.u16();
      if (length > RECORD_BYTES_MAX)
        throw new Ended({ type: "misbehaved", detail: `a record of ${length} bytes` });
      const whole = await this.#need(5 + length);
      this.#read = this.#read.subarray(5 + length);
      const body = whole.subarray(5, 5 + length);
      if (type === Content.changeCipherSpec) continue;
      const opened = type === Content.application ? this.#open(header, body) : { type, content: body };
      if (opened.type !== Content.alert) return opened;
      const description = opened.content[1] ?? -1;
      if (description === 0) throw new Ended({ type: "closed" });
      throw new Ended({ type: "alert", description, isEncrypted: type === Content.application });
    }
  }

  /** The next handshake message: its type, body and whole encoding. */
  async message(): Promise<{ readonly type: number; readonly body: Buffer; readonly raw: Buffer }> {
    for (;;) {
      if (this.#handshake.length >= 4) {
        const length = this.#handshake.readUIntBE(1, 3);
        if (this.#handshake.length >= 4 + length) {
          const raw = this.#handshake.subarray(0, 4 + length);
          this.#handshake = this.#handshake.subarray(4 + length);
          return { type: raw.readUInt8(0), body: raw.subarray(4), raw };
        }
      }
      const { type, content } = await this.record();
      if (type !== Content.handshake) {
        throw new Ended({ type: "misbehaved", detail: `a record of type ${type} in the handshake` });
      }
      this.#handshake = concat(this.#handshake, content);
    }
  }

  #open(header: Buffer, body: Buffer): { readonly type: number; readonly content: Buffer } {
    if (this.receive === undefined)
      throw new Ended({ type: "misbehaved", detail: "an encrypted record too early" });
    try {
      return this.receive.open(Buffer.from(header.subarray(0, 5)), body);
    } catch (cause) {
      const ended = new Ended({ type: "misbehaved", detail: "a record that our keys do not open" });
      ended.cause = cause;
      throw ended;
    }
  }

  async #need(length: number): Promise<Buffer> {
    while (this.#read.length < length) {
      if (this.#end !== undefined) throw new Ended(this.#end);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#read.subarray(0, length);
  }

  #stop(end: End): void {
    this.#end ??= end;
    this.#wake();
  }
}

export function asEnd(error: unknown): End {
  if (error instanceof Ended) return error.end;
  if (error instanceof Malformed) return { type: "misbehaved", detail: error.message };
  throw error;
}
