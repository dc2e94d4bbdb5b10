/** Requests, right and wrong, as a connection's bytes or as HTTP/2 fields. */
import type { Chance } from "./chance.ts";

/** How the proxies carry a case: the numbers of `proxy/wire/examples/forwarder.rs`. */
export const Kind = { asHttp1: 1, overHttp2: 2, fromHttp2: 3 } as const;

export interface Case {
  readonly kind: number;
  readonly bytes: Buffer;
}

const METHODS = [
  "GET",
  "GET",
  "POST",
  "POST",
  "PUT",
  "OPTIONS",
  "HEAD",
  "G!T",
  "get",
  "PRI",
  "CONNECT",
] as const;
const TARGETS = [
  "/",
  "/a/b?c=d",
  "/a%2fb;v=1",
  "//x",
  "/\\..",
  "http://a.test/x",
  "http://b.test",
  "https://a.test:8/?q",
  "*",
  "a.test:80",
  "/a b",
  "/\u00e9",
  "/a#b",
  "",
] as const;
const VERSIONS = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/1.2",
  "HTTP/2.0",
  "http/1.1",
  "HTTP/1.1 ",
] as const;
const ENDS = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"] as const;
const FIELDS = [
  "Host: a.test",
  "Host: b.test",
  "Host : a.test",
  "Host:",
  "Host: a.test, b.test",
  "Content-Length: 5",
  "Content-Length: 0",
  "Content-Length: 5, 5",
  "Content-Length: +5",
  "Content-Length: 0x5",
  "Content-Length: 05",
  "Content-Length: 18446744073709551621",
  "Content-Length:",
  "content-length: 6",
  "Content_Length: 7",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: Chunked",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: chunked, gzip",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: identity",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding:\u000bchunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:",
  " Transfer-Encoding: chunked",
  "X-A: b\r\n Transfer-Encoding: chunked",
  "TE: trailers",
  "TE: trailers, gzip",
  "Trailer: x-t",
  "Connection: close",
  "Connection: keep-alive",
  "Connection: Content-Length",
  "Connection: Transfer-Encoding, close",
  "Connection: Upgrade",
  "Upgrade: h2c",
  "Upgrade: websocket",
  "HTTP2-Settings: AAMAAABkAAQAAP__",
  "Expect: 100-continue",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: keep-alive",
  "l5d-client-id: someone",
  "l5d-orig-proto: HTTP/1.0",
  "Cookie: a=b",
  "Cookie: c=d",
  "X-A: \u0000",
  "X-A: a\u007fb",
  "X-\u00c4: a",
  "X A: b",
  ": b",
  "nothing",
  "(): b",
  "X-Long: " + "v".repeat(300),
] as const;
const CHUNKS = [
  "5\r\nhello\r\n0\r\n\r\n",
  "5\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
  "5;ext=1\r\nhello\r\n0\r\n\r\n",
  '5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
  "05\r\nhello\r\n0\r\n\r\n",
  "5 \r\nhello\r\n0\r\n\r\n",
  "5\nhello\r\n0\r\n\r\n",
  "5\r\nhello0\r\n\r\n",
  "0x5\r\nhello\r\n0\r\n\r\n",
  "-5\r\nhello\r\n0\r\n\r\n",
  "FFFFFFFFFFFFFFFF5\r\nhello\r\n0\r\n\r\n",
  "5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
  "5\r\nhello\r\n00\r\n\r\n",
  "5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n",
] as const;
const BYTES = [0, 9, 10, 11, 13, 32, 44, 48, 58, 59, 127, 128, 255] as const;

/** How often a part of a request is anything but its usual form. */
const ODD_SHARE = 0.2;

/** The first of them, or now and then any. */
function pick<T>(chance: Chance, of: readonly [T, ...T[]]): T {
  return chance.is(ODD_SHARE) ? chance.one(of) : of[0];
}

/** One request as bytes, mostly well-formed. */
function request(chance: Chance): string {
  const end = (): string => (chance.is(0.03) ? chance.one(ENDS) : "\r\n");
  const fields = chance.is(0.9) ? ["Host: a.test"] : [];
  const body = chance.below(4);
  if (body === 1) fields.push("Content-Length: 5");
  if (body === 2) fields.push("Transfer-Encoding: chunked");
  for (let more = chance.below(3); more > 0; more -= 1) {
    const field = chance.is(0.5) ? "X-A: b" : chance.one(FIELDS);
    if (chance.is(0.5)) fields.push(field);
    else fields.unshift(field);
  }
  const method = body === 0 ? pick(chance, METHODS) : chance.is(ODD_SHARE) ? chance.one(METHODS) : "POST";
  const start = `${method} ${pick(chance, TARGETS)} ${pick(chance, VERSIONS)}`;
  const head = [start, ...fields].map((line) => line + end()).join("") + end();
  if (body === 1) return `${head}hello`;
  return body === 2 ? head + (chance.is(0.5) ? CHUNKS[0] : chance.one(CHUNKS)) : head;
}

/** Bytes changed, taken out, put in, doubled or moved. */
function damage(text: string, chance: Chance): Buffer {
  let bytes = Buffer.from(text, "latin1");
  for (let times = chance.below(3); times > 0; times -= 1) {
    const at = chance.below(bytes.length);
    const byte = chance.is(0.7) ? chance.one(BYTES) : chance.below(256);
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (chance.below(4)) {
      case 0:
        bytes = Buffer.concat([before, Buffer.from([byte]), after.subarray(1)]);
        break;
      case 1:
        bytes = Buffer.concat([before, Buffer.from([byte]), after]);
        break;
      case 2:
        bytes = Buffer.concat([before, after.subarray(1)]);
        break;
      default:
        bytes = Buffer.concat([before, after.subarray(0, 1 + chance.below(12)), after]);
    }
  }
  return bytes;
}

const NAMES = [
  "x-a",
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "te",
  "trailer",
  "expect",
  "keep-alive",
  "http2-settings",
  "proxy-connection",
  "cookie",
  "l5d-client-id",
  "l5d-orig-proto",
  "x a",
  "x:a",
  "x\r\ny",
  "X-A",
  "",
  "x-\u00e4",
] as const;
const VALUES = [
  "b",
  "5",
  "0",
  "05",
  "chunked",
  "trailers",
  "close",
  "h2c",
  "a.test",
  "b.test",
  "HTTP/1.0",
  "100-continue",
  "a\r\nTransfer-Encoding: chunked",
  "a\nb",
  "a\u0000b",
  " a ",
  "a\tb",
  "\u00e9",
  "",
] as const;
const AUTHORITIES = [
  "a.test",
  "a.test:80",
  "",
  "a@b.test",
  "a.test/x",
  "a test",
  "a.test\r\nx: y",
  "[::1]:80",
] as const;

/** Sixteen bits of length, and so many bytes. */
function counted(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function h2(chance: Chance): Buffer {
  const scheme = chance.one(["http", "http", "https"]);
  const parts = [pick(chance, METHODS), scheme, pick(chance, AUTHORITIES), pick(chance, TARGETS)];
  const fields: string[] = [];
  for (let more = chance.below(5); more > 0; more -= 1) {
    const name = chance.one(NAMES);
    // An empty name ends the list.
    if (name !== "") fields.push(chance.is(0.6) ? "x-a" : name, pick(chance, VALUES));
  }
  const bodies = ["", "", "hello", "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"] as const;
  return Buffer.concat([...parts, ...fields, "", chance.one(bodies)].map(counted));
}

/** The next case. */
export function nextCase(chance: Chance): Case {
  if (chance.is(0.3)) return { kind: Kind.fromHttp2, bytes: h2(chance) };
  const requests = chance.is(0.2) ? request(chance) + request(chance) : request(chance);
  return { kind: chance.is(0.5) ? Kind.asHttp1 : Kind.overHttp2, bytes: damage(requests, chance) };
}
