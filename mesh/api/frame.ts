/** Length-prefixed gRPC messages (gRPC over HTTP/2, "Length-Prefixed-Message"): one flag byte, u32 length, bytes. */
import { fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { Code, RpcError } from "./status.ts";

/** Flag byte and big-endian length. */
const PREFIX_BYTES = 5;

/** One or more framed messages. Made once, shared by every stream that is to receive it, never written to again. */
export type Frame = Buffer;

/** Encodes and frames `message`. */
export function encodeFrame<D extends DescMessage>(schema: D, message: MessageShape<D>): Frame {
  const bytes = toBinary(schema, message);
  // Not from the pool: a frame outlives its neighbours, and would keep their 8 KiB slab alive.
  const frame = Buffer.allocUnsafeSlow(PREFIX_BYTES + bytes.length);
  frame.writeUInt8(0, 0);
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, PREFIX_BYTES);
  return frame;
}

/** Decodes the only message of a unary or server-streaming request; refuses everything else. */
export function decodeFrame<D extends DescMessage>(schema: D, body: Uint8Array): MessageShape<D> {
  const view = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (view.length < PREFIX_BYTES) throw new RpcError(Code.InvalidArgument, "request holds no message");
  if (view.readUInt8(0) !== 0)
    throw new RpcError(Code.Unimplemented, "compressed messages are not supported");
  if (view.readUInt32BE(1) !== view.length - PREFIX_BYTES) {
    throw new RpcError(Code.InvalidArgument, "request must hold exactly one message");
  }
  try {
    return fromBinary(schema, view.subarray(PREFIX_BYTES));
  } catch (cause) {
    throw new RpcError(Code.InvalidArgument, `request is not a ${schema.typeName}`, { cause });
  }
}
