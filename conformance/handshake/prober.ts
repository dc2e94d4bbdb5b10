/**
 * A TLS 1.3 client that shares no code with the proxies: its own messages, key schedule and record protection, noble's
 * ML-KEM and curves. It checks everything a client must check, and breaks any one rule on demand.
 */
import { createPrivateKey, randomBytes, sign, verify, X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { ByteReader, concat, u16, u8, vec16, vec24, vec8 } from "./bytes.ts";
import { helloParts, Message, readExtensions, readServerHello, TLS13, writeHello, Ext } from "./hello.ts";
import type { HelloParts, ServerHello } from "./hello.ts";
import {
  deriveSecret,
  finished,
  handshakeSecret,
  hashOf,
  masterSecret,
  Protection,
  SUITES,
} from "./key-schedule.ts";
import type { Suite } from "./key-schedule.ts";
import { generateShare, isGroup, sharedSecret, type Group, type Halves, type KeyShare } from "./share.ts";
import { asEnd, Content, Ended, Transport, type End } from "./transport.ts";

/** Longest that a handshake and its answer may take. */
const PROBE_MS_MAX = 5_000;

/** Signature schemes by their registered numbers, with the hash that node:crypto wants. */
const SCHEMES: ReadonlyMap<number, "sha256" | "sha384" | null> = new Map([
  [0x0403, "sha256"],
  [0x0503, "sha384"],
  [0x0807, null],
]);

/** Who the client says it is. */
export interface ClientCredentials {
  /** Leaf first. */
  readonly chain: readonly Buffer[];
  readonly privateKeyPem: string;
}

/** One attempt. */
export interface Probe {
  readonly serverName: string;
  readonly alpn: readonly string[];
  readonly groups: readonly number[];
  /** Groups that a share is sent for. */
  readonly shared: readonly Group[];
  readonly suites: readonly number[];
  readonly versions: readonly number[];
  readonly credentials: ClientCredentials | undefined;
  /** Whom the server must prove to be, and below which anchors. */
  readonly expect: { readonly identity: string; readonly anchorsPem: string };
  /** Sent once there is a connection; the answer is kept up to its end or its first bytes. */
  readonly talk: Buffer;
  readonly tamper: Tamper;
}

/** One rule to break. Whatever is absent is done right. */
export interface Tamper {
  readonly hello?: (parts: HelloParts) => HelloParts;
  readonly share?: (share: Buffer) => Buffer;
  /** Changes what the client's own keys are made of; what the server sends is still read with the right ones. */
  readonly secret?: (halves: Halves) => Halves;
  /** The bytes of the first flight, record header included; `undefined` closes the connection after them. */
  readonly flight?: (record: Buffer) => Buffer;
  readonly closeAfterFlight?: boolean;
  readonly certificateVerify?: (signature: Buffer) => Buffer;
  readonly finished?: (verifyData: Buffer) => Buffer;
  /** A record sent instead of the client's second flight. */
  readonly insteadOfFinished?: (protection: Protection) => Buffer;
}

/** What the handshake came to. */
export type Outcome =
  | End
  | {
      readonly type: "established";
      readonly group: number;
      readonly suite: string;
      readonly alpn: string | undefined;
      readonly didRetry: boolean;
      readonly isMutual: boolean;
      readonly answer: Buffer;
    };

/** Tries one handshake on a fresh connection. Never throws for what the server does. */
export async function probe(socket: Socket, attempt: Probe): Promise<Outcome> {
  const transport = new Transport(socket, PROBE_MS_MAX);
  try {
    return await handshake(transport, attempt);
  } catch (error) {
    return asEnd(error);
  } finally {
    transport.destroy();
  }
}

interface Agreed {
  readonly suite: Suite;
  readonly share: KeyShare;
  readonly server: ServerHello;
  readonly transcript: Buffer;
  readonly didRetry: boolean;
}

async function handshake(transport: Transport, attempt: Probe): Promise<Outcome> {
  const agreed = await greet(transport, attempt);
  const { suite, share, server } = agreed;
  const halves = share.agree(server.share);
  const right = handshakeSecret(suite, sharedSecret(halves));
  const ours = handshakeSecret(suite, sharedSecret(attempt.tamper.secret?.(halves) ?? halves));
  const helloHash = hashOf(suite, agreed.transcript);
  const serverSecret = deriveSecret(suite, right, "s hs traffic", helloHash);
  const clientSecret = deriveSecret(suite, ours, "c hs traffic", helloHash);
  transport.receive = new Protection(suite, serverSecret);
  const send = new Protection(suite, clientSecret);
  const heard = await readServerFlight(transport, attempt, {
    suite,
    serverSecret,
    transcript: agreed.transcript,
  });

  const applicationHash = hashOf(suite, heard.transcript);
  const flight = clientFlight(attempt, { suite, clientSecret, heard });
  if (attempt.tamper.insteadOfFinished === undefined) transport.send(send.seal(Content.handshake, flight));
  else transport.send(attempt.tamper.insteadOfFinished(send));
  const master = masterSecret(suite, right);
  transport.receive = new Protection(suite, deriveSecret(suite, master, "s ap traffic", applicationHash));
  const application = new Protection(
    suite,
    deriveSecret(suite, masterSecret(suite, ours), "c ap traffic", applicationHash),
  );
  transport.send(application.seal(Content.application, attempt.talk));
  return {
    type: "established",
    group: share.group,
    suite: suite.name,
    alpn: heard.alpn,
    didRetry: agreed.didRetry,
    isMutual: heard.request !== undefined,
    answer: await readAnswer(transport),
  };
}

/** Sends the hello, and a second one if the server asks for another share. */
async function greet(transport: Transport, attempt: Probe): Promise<Agreed> {
  const fixed = { random: randomBytes(32), sessionId: randomBytes(32), schemes: [...SCHEMES.keys()] };
  let shares = attempt.shared.map((group) => tampered(generateShare(group), attempt.tamper));
  const hello = writeHello(change(helloParts({ ...attempt, ...fixed, shares }), attempt.tamper));
  const record = concat(u8(Content.handshake), u16(0x0301), vec16(hello));
  transport.send(attempt.tamper.flight?.(record) ?? record);
  if (attempt.tamper.closeAfterFlight === true) transport.finish();
  let transcript: Buffer = hello;
  let message = await transport.message();
  if (message.type !== Message.serverHello) misbehaved(`message ${message.type} for a ServerHello`);
  let server = readServerHello(message.body);
  const didRetry = server.isRetry;
  if (didRetry) {
    const suite = suiteOf(server.suite);
    // RFC 8446 §4.4.1: the first hello is replaced by its hash.
    transcript = concat(u8(254), vec24(hashOf(suite, hello)), message.raw);
    if (!isGroup(server.group)) misbehaved(`a retry with group ${server.group}`);
    else shares = [generateShare(server.group)];
    const parts = helloParts({ ...attempt, ...fixed, shares });
    const { cookie } = server;
    const again = writeHello(
      cookie === undefined ? parts : { ...parts, extensions: [...parts.extensions, [Ext.cookie, cookie]] },
    );
    transport.sendPlain(Content.handshake, again);
    transcript = concat(transcript, again);
    message = await transport.message();
    server = readServerHello(message.body);
    if (server.isRetry) misbehaved("a second retry");
  }
  if (server.version !== TLS13) misbehaved(`version ${server.version}`);
  if (!server.sessionId.equals(fixed.sessionId)) misbehaved("another session id");
  if (!attempt.suites.includes(server.suite)) misbehaved("a suite that was not offered");
  const share = shares.find((one) => one.group === server.group);
  if (share === undefined) return misbehaved(`group ${server.group}, for which no share was sent`);
  const suite = suiteOf(server.suite);
  return { suite, share, server, transcript: concat(transcript, message.raw), didRetry };
}

interface Heard {
  readonly transcript: Buffer;
  readonly alpn: string | undefined;
  /** The context of the certificate request, if the server made one. */
  readonly request: Buffer | undefined;
}

interface Hearing {
  readonly suite: Suite;
  readonly serverSecret: Buffer;
  readonly transcript: Buffer;
}

/** Reads EncryptedExtensions to Finished in their one permitted order, and checks each. */
async function readServerFlight(transport: Transport, attempt: Probe, hearing: Hearing): Promise<Heard> {
  let transcript = hearing.transcript;
  const next = async (expected: number): Promise<Buffer> => {
    const { type, body, raw } = await transport.message();
    if (type !== expected) misbehaved(`message ${type} for ${expected}`);
    transcript = concat(transcript, raw);
    return body;
  };
  const extensions = readExtensions(new ByteReader(await next(Message.encryptedExtensions)).vec16());
  const alpn = extensions.get(Ext.alpn)?.subarray(3).toString("latin1");
  if (alpn !== undefined && !attempt.alpn.includes(alpn)) misbehaved(`ALPN ${alpn} was not offered`);
  let message = await transport.message();
  let request: Buffer | undefined;
  if (message.type === Message.certificateRequest) {
    request = new ByteReader(message.body).vec8();
    transcript = concat(transcript, message.raw);
    message = await transport.message();
  }
  if (message.type !== Message.certificate) misbehaved(`message ${message.type} for a Certificate`);
  transcript = concat(transcript, message.raw);
  const leaf = checkChain(readChain(message.body), attempt.expect);
  const signed = hashOf(hearing.suite, transcript);
  checkSignature(leaf, await next(Message.certificateVerify), signed);
  const expected = finished(hearing.suite, hearing.serverSecret, hashOf(hearing.suite, transcript));
  if (!expected.equals(await next(Message.finished))) misbehaved("a wrong Finished");
  return { transcript, alpn, request };
}

function readChain(body: Buffer): readonly X509Certificate[] {
  const reader = new ByteReader(body);
  if (reader.vec8().length > 0) misbehaved("a certificate with a context");
  const list = new ByteReader(reader.vec24());
  const chain: X509Certificate[] = [];
  while (!list.done) {
    chain.push(new X509Certificate(list.vec24()));
    list.vec16();
  }
  return chain;
}

/** Follows the chain to an anchor and holds the leaf's names against the identity, byte by byte. */
function checkChain(
  chain: readonly X509Certificate[],
  { identity, anchorsPem }: Probe["expect"],
): X509Certificate {
  const [leaf, ...above] = chain;
  if (leaf === undefined) return misbehaved("no certificate");
  const anchors = (anchorsPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );
  let current = leaf;
  for (const next of above) {
    if (!current.checkIssued(next) || !current.verify(next.publicKey)) misbehaved("a broken chain");
    current = next;
  }
  if (!anchors.some((anchor) => current.checkIssued(anchor) && current.verify(anchor.publicKey))) {
    misbehaved("a chain to no anchor");
  }
  const names = (leaf.subjectAltName ?? "").split(", ");
  if (!names.includes(`DNS:${identity}`) && !names.includes(`URI:${identity}`)) {
    misbehaved(`the names ${leaf.subjectAltName ?? ""} for ${identity}`);
  }
  return leaf;
}

function checkSignature(leaf: X509Certificate, body: Buffer, transcriptHash: Buffer): void {
  const reader = new ByteReader(body);
  const hash = SCHEMES.get(reader.u16());
  if (hash === undefined) misbehaved("a signature scheme that was not offered");
  const message = signedContent("TLS 1.3, server CertificateVerify", transcriptHash);
  if (!verify(hash ?? null, message, leaf.publicKey, reader.vec16())) misbehaved("a wrong CertificateVerify");
}

/** RFC 8446 §4.4.3. */
function signedContent(context: string, transcriptHash: Buffer): Buffer {
  return concat(Buffer.alloc(64, 0x20), Buffer.from(context), u8(0), transcriptHash);
}

interface Answering {
  readonly suite: Suite;
  readonly clientSecret: Buffer;
  readonly heard: Heard;
}

/** Certificate and CertificateVerify if asked for, and Finished. */
function clientFlight(attempt: Probe, { suite, clientSecret, heard }: Answering): Buffer {
  let flight: Buffer = Buffer.alloc(0);
  let transcript = heard.transcript;
  const add = (type: number, body: Buffer): void => {
    const message = concat(u8(type), vec24(body));
    flight = concat(flight, message);
    transcript = concat(transcript, message);
  };
  if (heard.request !== undefined) {
    const entries = (attempt.credentials?.chain ?? []).map((der) => concat(vec24(der), vec16()));
    add(Message.certificate, concat(vec8(heard.request), vec24(...entries)));
    if (attempt.credentials !== undefined) {
      const content = signedContent("TLS 1.3, client CertificateVerify", hashOf(suite, transcript));
      const signature = sign("sha256", content, createPrivateKey(attempt.credentials.privateKeyPem));
      const sent = attempt.tamper.certificateVerify?.(signature) ?? signature;
      add(Message.certificateVerify, concat(u16(0x0403), vec16(sent)));
    }
  }
  const verifyData = finished(suite, clientSecret, hashOf(suite, transcript));
  add(Message.finished, attempt.tamper.finished?.(verifyData) ?? verifyData);
  return flight;
}

/** The first application data, past session tickets. */
async function readAnswer(transport: Transport): Promise<Buffer> {
  for (;;) {
    const { type, content } = await transport.record();
    if (type === Content.application && content.length > 0) return content;
    if (type !== Content.handshake && type !== Content.application) misbehaved(`a record of type ${type}`);
  }
}

function tampered(share: KeyShare, tamper: Tamper): KeyShare {
  return { ...share, public: tamper.share?.(share.public) ?? share.public };
}

function change(parts: HelloParts, tamper: Tamper): HelloParts {
  return tamper.hello?.(parts) ?? parts;
}

function suiteOf(number: number): Suite {
  return SUITES.get(number) ?? misbehaved(`suite ${number}`);
}

function misbehaved(detail: string): never {
  throw new Ended({ type: "misbehaved", detail });
}
