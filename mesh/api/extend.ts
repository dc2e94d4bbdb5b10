/**
 * Our extensions of Linkerd's messages: each is the unknown field 1000 of the message that it extends (the places are
 * in `proto/hauberk/proxy/v1/overlay.proto`). A Linkerd proxy skips it; ours reads it together with the message.
 */
import {
  create,
  createRegistry,
  equals,
  toBinary,
  type DescMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** The field in which an extension travels; no Linkerd message has so many fields. */
const EXTENSION_FIELD = 1000;

/** `message` with `extension` added. A message has one extension at most; a second call adds to it. */
export function extend<M extends Message, E extends DescMessage>(
  message: M,
  schema: E,
  extension: MessageInitShape<E>,
): M {
  const data = new BinaryWriter().bytes(toBinary(schema, create(schema, extension))).finish();
  const field = { no: EXTENSION_FIELD, wireType: WireType.LengthDelimited, data };
  return { ...message, $unknown: [...(message.$unknown ?? []), field] };
}

/** No message of ours is wrapped in `Any`, and extensions are compared as they lie on the wire. */
const EXACTLY = { registry: createRegistry(), unknown: true };

/** Whether two messages and all their extensions are equal. */
export function equalExtended<D extends DescMessage>(
  schema: D,
  before: MessageShape<D>,
  after: MessageShape<D>,
): boolean {
  return equals(schema, before, after, EXACTLY);
}
