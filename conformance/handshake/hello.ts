/** ClientHello and ServerHello (RFC 8446 §4.1). */
import { ByteReader, concat, Malformed, u16, u8, vec16, vec24, vec8 } from "./bytes.ts";
import type { KeyShare } from "./share.ts";

/** Handshake message types. */
export const Message = {
  clientHello: 1,
  serverHello: 2,
  newSessionTicket: 4,
  encryptedExtensions: 8,
  certificate: 11,
  certificateRequest: 13,
  certificateVerify: 15,
  finished: 20,
} as const;

/** Extension types. */
export const Ext = {
  serverName: 0,
  supportedGroups: 10,
  signatureAlgorithms: 13,
  alpn: 16,
  cookie: 44,
  supportedVersions: 43,
  keyShare: 51,
} as const;

export const TLS13 = 0x0304;
export const TLS12 = 0x0303;

/** The random of a ServerHello that is a HelloRetryRequest. */
const RETRY = Buffer.from("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c", "hex");

export type Extension = readonly [type: number, body: Buffer];

/** What a ClientHello is made of; a mutation changes any part. */
export interface HelloParts {
  readonly legacyVersion: number;
  readonly random: Buffer;
  readonly sessionId: Buffer;
  readonly suites: readonly number[];
  readonly compression: Buffer;
  readonly extensions: readonly Extension[];
}

export interface HelloOptions {
  readonly random: Buffer;
  readonly sessionId: Buffer;
  readonly serverName: string;
  readonly alpn: readonly string[];
  readonly suites: readonly number[];
  readonly groups: readonly number[];
  readonly shares: readonly KeyShare[];
  readonly schemes: readonly number[];
  readonly versions: readonly number[];
}

export function helloParts(options: HelloOptions): HelloParts {
  const { serverName, alpn, suites, groups, shares, schemes, versions } = options;
  const extensions: Extension[] = [
    [Ext.serverName, vec16(u8(0), vec16(Buffer.from(serverName)))],
    [Ext.supportedGroups, vec16(...groups.map(u16))],
    [Ext.signatureAlgorithms, vec16(...schemes.map(u16))],
    ...(alpn.length === 0 ? [] : [alpnExtension(alpn)]),
    [Ext.supportedVersions, vec8(...versions.map(u16))],
    [Ext.keyShare, vec16(...shares.map((share) => concat(u16(share.group), vec16(share.public))))],
  ];
  return {
    legacyVersion: TLS12,
    random: options.random,
    sessionId: options.sessionId,
    suites,
    compression: u8(0),
    extensions,
  };
}

function alpnExtension(protocols: readonly string[]): Extension {
  return [Ext.alpn, vec16(...protocols.map((protocol) => vec8(Buffer.from(protocol))))];
}

/** The handshake message of a hello. */
export function writeHello(parts: HelloParts): Buffer {
  const { legacyVersion, random, sessionId, suites, compression, extensions } = parts;
  const written = extensions.map(([type, body]) => concat(u16(type), vec16(body)));
  const suiteList = vec16(...suites.map(u16));
  const body = concat(
    u16(legacyVersion),
    random,
    vec8(sessionId),
    suiteList,
    vec8(compression),
    vec16(...written),
  );
  return concat(u8(Message.clientHello), vec24(body));
}

export interface ServerHello {
  readonly isRetry: boolean;
  readonly suite: number;
  readonly version: number;
  readonly group: number;
  /** Empty in a HelloRetryRequest. */
  readonly share: Buffer;
  readonly sessionId: Buffer;
  readonly cookie: Buffer | undefined;
}

export function readServerHello(body: Buffer): ServerHello {
  const reader = new ByteReader(body);
  if (reader.u16() !== TLS12) throw new Malformed("a ServerHello of another legacy version");
  const random = reader.take(32);
  const sessionId = reader.vec8();
  const suite = reader.u16();
  if (reader.u8() !== 0) throw new Malformed("a ServerHello with compression");
  const extensions = readExtensions(reader.vec16());
  if (!reader.done) throw new Malformed("bytes after the ServerHello");
  const isRetry = random.equals(RETRY);
  const share = new ByteReader(extensions.get(Ext.keyShare) ?? Buffer.alloc(2));
  return {
    isRetry,
    suite,
    sessionId,
    version: extensions.get(Ext.supportedVersions)?.readUInt16BE(0) ?? TLS12,
    group: share.u16(),
    share: isRetry ? Buffer.alloc(0) : share.vec16(),
    cookie: extensions.get(Ext.cookie),
  };
}

export function readExtensions(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const reader = new ByteReader(bytes);
  const found = new Map<number, Buffer>();
  while (!reader.done) {
    const type = reader.u16();
    if (found.has(type)) throw new Malformed(`extension ${type} stands twice`);
    found.set(type, reader.vec16());
  }
  return found;
}
