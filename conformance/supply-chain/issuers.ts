/** What a Sigstore needs of others: an issuer of workloads' tokens, and a log of certificates. Both are this suite's own. */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  sign,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { z } from "zod";

type Answer = (request: IncomingMessage, body: string) => unknown;

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}

/** Serves JSON on a port of the loopback; what has no answer is not found. */
export async function serve(port: number, answer: Answer): Promise<Server> {
  const reply = async (request: IncomingMessage, response: ServerResponse) => {
    const said = answer(request, await bodyOf(request));
    response.writeHead(said === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(said ?? {}));
  };
  const server = createServer((request, response) => {
    reply(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  return server;
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** An OpenID Connect issuer: discovery and keys over HTTP, tokens by a call. */
export class TokenIssuer {
  readonly url: string;
  readonly #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });

  constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
  }

  answer({ url = "" }: IncomingMessage): unknown {
    if (url.startsWith("/.well-known/"))
      return {
        issuer: this.url,
        jwks_uri: `${this.url}/keys`,
        authorization_endpoint: `${this.url}/auth`,
        token_endpoint: `${this.url}/token`,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["ES256"],
      };
    if (url !== "/keys") return undefined;
    const key = this.#keys.publicKey.export({ format: "jwk" });
    return { keys: [{ ...key, kid: "one", use: "sig", alg: "ES256" }] };
  }

  /** A token of ten minutes for a workload of this name. */
  token(workload: string): string {
    const now = Math.floor(Date.now() / 1_000);
    const times = { iat: now - 5, nbf: now - 5, exp: now + 600 };
    const claims = { iss: this.url, aud: "sigstore", sub: workload, workload, ...times };
    const signed = `${part({ alg: "ES256", kid: "one", typ: "JWT" })}.${part(claims)}`;
    const key = { key: this.#keys.privateKey, dsaEncoding: "ieee-p1363" } as const;
    return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
  }
}

/** `[3]` of a certificate to be signed: its extensions. */
const EXTENSIONS = 0xa3;
/** Object identifier of the poison that makes a certificate a precertificate (RFC 6962, 3.1). */
const POISON = Buffer.from("060a2b06010401d679020403", "hex");

const SEQUENCE = 0x30;

interface Value {
  readonly tag: number;
  readonly body: Buffer;
  readonly raw: Buffer;
}

/** The DER values in a run of bytes that Fulcio wrote. */
function valuesIn(bytes: Buffer): readonly Value[] {
  const values: Value[] = [];
  for (let at = 0; at < bytes.length;) {
    const first = bytes.readUInt8(at + 1);
    const more = first < 0x80 ? 0 : first & 0x7f;
    const length = more === 0 ? first : bytes.readUIntBE(at + 2, more);
    const start = at + 2 + more;
    const end = start + length;
    values.push({ tag: bytes.readUInt8(at), body: bytes.subarray(start, end), raw: bytes.subarray(at, end) });
    at = end;
  }
  return values;
}

function wrapped(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const head =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), body]);
}

/** The content of the first value. */
const inside = (bytes: Buffer): Buffer => valuesIn(bytes)[0]?.body ?? Buffer.of();

/** What is to be signed of a precertificate, without its poison. */
function withoutPoison(precertificate: Buffer): Buffer {
  const fields = valuesIn(inside(inside(precertificate))).map(({ tag, body, raw }) => {
    if (tag !== EXTENSIONS) return raw;
    const kept = valuesIn(inside(body)).filter((extension) => !extension.raw.includes(POISON));
    return wrapped(EXTENSIONS, wrapped(SEQUENCE, ...kept.map((extension) => extension.raw)));
  });
  return wrapped(SEQUENCE, ...fields);
}

function number(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(BigInt(value));
  return buffer.subarray(8 - bytes);
}

const Chain = z.object({ chain: z.array(z.string()).min(2) });

/** The front of a log of certificates (RFC 6962, 4.2): it promises to log, and nobody reads what it would. */
export function certificateLog(key: KeyObject): Answer {
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const id = createHash("sha256").update(spki).digest("base64");
  return ({ url = "" }, body) => {
    if (!url.endsWith("/add-pre-chain")) return undefined;
    const [leaf = "", issuer = ""] = Chain.parse(JSON.parse(body)).chain;
    const issuerKey = new X509Certificate(Buffer.from(issuer, "base64")).publicKey;
    const issuerHash = createHash("sha256")
      .update(issuerKey.export({ type: "spki", format: "der" }))
      .digest();
    const tbs = withoutPoison(Buffer.from(leaf, "base64"));
    const timestamp = Date.now();
    // version 1, certificate_timestamp, time, precert_entry, no extensions
    const head = [Buffer.of(0, 0), number(timestamp, 8), number(1, 2), issuerHash, number(tbs.length, 3)];
    const signature = sign("sha256", Buffer.concat([...head, tbs, number(0, 2)]), key);
    // SHA-256 with ECDSA
    const sealed = Buffer.concat([Buffer.of(4, 3), number(signature.length, 2), signature]);
    return { sct_version: 0, id, timestamp, extensions: "", signature: sealed.toString("base64") };
  };
}
