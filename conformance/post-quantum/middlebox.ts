/** Somebody on the way who takes the post-quantum group out of hellos, so that both ends agree on a classical one. */
import { Duplex, type Writable } from "node:stream";

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SUPPORTED_GROUPS = 0x000a;
const KEY_SHARE = 0x0033;
/** X25519MLKEM768 (IANA "TLS Supported Groups"). */
const HYBRID = 0x11ec;
const RECORD_HEAD = 5;
const MESSAGE_HEAD = 4;

const vector16 = (body: Buffer): Buffer => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(body.length);
  return Buffer.concat([head, body]);
};

/** The list of groups without the hybrid one. */
function withoutGroup(body: Buffer): Buffer {
  const kept: Buffer[] = [];
  for (let at = 2; at + 2 <= body.length; at += 2) {
    if (body.readUInt16BE(at) !== HYBRID) kept.push(body.subarray(at, at + 2));
  }
  return vector16(Buffer.concat(kept));
}

/** The shares without the hybrid one's. */
function withoutShare(body: Buffer): Buffer {
  const kept: Buffer[] = [];
  for (let at = 2; at + 4 <= body.length;) {
    const end = at + 4 + body.readUInt16BE(at + 2);
    if (body.readUInt16BE(at) !== HYBRID) kept.push(body.subarray(at, end));
    at = end;
  }
  return vector16(Buffer.concat(kept));
}

function strippedExtensions(extensions: Buffer): { readonly bytes: Buffer; readonly found: number } {
  const kept: Buffer[] = [];
  let found = 0;
  for (let at = 0; at + 4 <= extensions.length;) {
    const type = extensions.readUInt16BE(at);
    const end = at + 4 + extensions.readUInt16BE(at + 2);
    const body = extensions.subarray(at + 4, end);
    const changed =
      type === SUPPORTED_GROUPS ? withoutGroup(body) : type === KEY_SHARE ? withoutShare(body) : body;
    if (changed.length < body.length) found += 1;
    kept.push(extensions.subarray(at, at + 2), vector16(changed));
    at = end;
  }
  return { bytes: Buffer.concat(kept), found };
}

/** The record with its hello stripped. @throws if it is no hello that offers the hybrid group with a share. */
export function strip(record: Buffer): Buffer {
  if (record[0] !== HANDSHAKE || record[RECORD_HEAD] !== CLIENT_HELLO)
    throw new Error("the first record is no ClientHello");
  // Version and random are of fixed length; session, suites and compression are vectors.
  let at = RECORD_HEAD + MESSAGE_HEAD + 2 + 32;
  at += 1 + record.readUInt8(at);
  at += 2 + record.readUInt16BE(at);
  at += 1 + record.readUInt8(at);
  const { bytes, found } = strippedExtensions(record.subarray(at + 2));
  if (found !== 2) throw new Error("the hello offers no hybrid group with a share");
  const body = Buffer.concat([record.subarray(RECORD_HEAD + MESSAGE_HEAD, at), vector16(bytes)]);
  const head = Buffer.alloc(MESSAGE_HEAD);
  head.writeUInt8(CLIENT_HELLO);
  head.writeUIntBE(body.length, 1, 3);
  return Buffer.concat([record.subarray(0, 3), vector16(Buffer.concat([head, body]))]);
}

/** A connection whose first record is stripped on its way out. */
export function stripping(far: Duplex): Duplex {
  let waiting = Buffer.alloc(0);
  let isThrough = false;
  const send = (bytes: Buffer, to: Writable, done: (error?: Error | null) => void): void => {
    if (isThrough) {
      to.write(bytes, done);
      return;
    }
    waiting = Buffer.concat([waiting, bytes]);
    const whole = waiting.length >= RECORD_HEAD && waiting.length >= RECORD_HEAD + waiting.readUInt16BE(3);
    if (!whole) {
      done();
      return;
    }
    isThrough = true;
    const end = RECORD_HEAD + waiting.readUInt16BE(3);
    to.write(Buffer.concat([strip(waiting.subarray(0, end)), waiting.subarray(end)]), done);
  };
  const near = new Duplex({
    read: () => far.resume(),
    write: (bytes: Buffer, _, done) => send(bytes, far, done),
    final: (done) => far.end(done),
    destroy: (error, done) => {
      far.destroy();
      done(error);
    },
  });
  far.on("data", (bytes: Buffer) => {
    if (!near.push(bytes)) far.pause();
  });
  far.on("end", () => near.push(null));
  far.on("error", (error) => near.destroy(error));
  far.on("close", () => near.destroy());
  return near;
}
