/** A Sigstore for tests, in this process: certificates, SCTs and timestamps of the project's own mock, and a log with tiles. */
import { createHash, generateKeyPairSync, sign as signBytes, type KeyObject } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { fulcioHandler, initializeCA, initializeCTLog, initializeTSA, tsaHandler } from "@sigstore/mock";
import { z } from "zod";
import { leafHash, rootOf } from "../verify/log.ts";
import type { Services } from "./services.ts";

const ORIGIN = "log.test";
const BEGINNING = "2020-01-01T00:00:00Z";

const HashedRekord = z.object({
  hashedRekordRequestV002: z.object({
    digest: z.string(),
    signature: z.object({ content: z.string(), verifier: z.unknown() }),
  }),
});

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** Hashes on the way from a leaf to the root (RFC 9162, 2.1.3.1). */
function proofOf(index: number, leaves: readonly Buffer[]): readonly Buffer[] {
  if (leaves.length <= 1) return [];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split
    ? [...proofOf(index, left), rootOf(right)]
    : [...proofOf(index - split, right), rootOf(left)];
}

/** A log as Rekor v2 keeps one, in memory. */
export class FixtureLog {
  readonly entries: Buffer[] = [];
  readonly #keys = keys();

  get publicKey(): KeyObject {
    return this.#keys.publicKey;
  }

  get spki(): Buffer {
    return this.#keys.publicKey.export({ type: "spki", format: "der" });
  }

  checkpoint(): string {
    const body = `${ORIGIN}\n${this.entries.length}\n${rootOf(this.entries.map(leafHash)).toString("base64")}\n`;
    const id = createHash("sha256").update(this.spki).digest().subarray(0, 4);
    const signature = Buffer.concat([id, signBytes("sha256", Buffer.from(body), this.#keys.privateKey)]);
    return `${body}\n\u2014 ${ORIGIN} ${signature.toString("base64")}\n`;
  }

  append(request: unknown): unknown {
    const { digest, signature } = HashedRekord.parse(request).hashedRekordRequestV002;
    const data = { algorithm: "SHA2_256", digest };
    const spec = { hashedRekordV002: { data, signature } };
    const body = Buffer.from(JSON.stringify({ apiVersion: "0.0.2", kind: "hashedrekord", spec }));
    const logIndex = String(this.entries.push(body) - 1);
    const leaves = this.entries.map(leafHash);
    return {
      logIndex,
      logId: { keyId: base64(createHash("sha256").update(this.spki).digest()) },
      kindVersion: { kind: "hashedrekord", version: "0.0.2" },
      integratedTime: "0",
      canonicalizedBody: base64(body),
      inclusionProof: {
        logIndex,
        rootHash: base64(rootOf(leaves)),
        treeSize: String(leaves.length),
        hashes: proofOf(Number(logIndex), leaves).map(base64),
        checkpoint: { envelope: this.checkpoint() },
      },
    };
  }

  /** A file of the log; only as many entries as one tile holds. */
  read(path: string): Buffer {
    if (path === "checkpoint") return Buffer.from(this.checkpoint());
    if (path !== `tile/entries/000.p/${this.entries.length}`) throw new Error(`the log has no ${path}`);
    return Buffer.concat(
      this.entries.flatMap((entry) => {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(entry.length);
        return [length, entry];
      }),
    );
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}

export interface FixtureSigstore {
  readonly services: Services;
  readonly log: FixtureLog;
  /** `trusted_root.json`. */
  readonly root: unknown;
  close(): Promise<void>;
}

const tokenPart = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token that the fixture's authority believes: it checks no signature. */
export function tokenOf(subject: string, issuer: string): string {
  return `${tokenPart({ alg: "none" })}.${tokenPart({ sub: subject, iss: issuer, aud: "sigstore" })}.unsigned`;
}

const logId = (spki: Uint8Array) => ({ keyId: base64(createHash("sha256").update(spki).digest()) });

const keys = () => generateKeyPairSync("ec", { namedCurve: "P-256" });
const bytes = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength);

const certificates = (...views: readonly ArrayBufferView[]) => ({
  certificates: views.map((view) => ({ rawBytes: base64(bytes(view)) })),
});

async function answers(log: FixtureLog, hasCertificateLog: boolean) {
  // A whole second, since the mock writes fractions that no reader takes; after its own certificates begin.
  const now = new Date(Math.ceil(Date.now() / 1_000 + 1) * 1_000);
  const certificateLog = await initializeCTLog(keys(), now);
  const ca = await initializeCA(keys(), hasCertificateLog ? certificateLog : undefined, now);
  const clock = await initializeTSA(keys(), now);
  const validFor = { start: BEGINNING };
  const key = (spki: Uint8Array) => ({
    rawBytes: base64(spki),
    keyDetails: "PKIX_ECDSA_P256_SHA_256",
    validFor,
  });
  const subject = { organization: "test", commonName: "test" };
  const root = {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [
      {
        baseUrl: `https://${ORIGIN}`,
        hashAlgorithm: "SHA2_256",
        publicKey: key(log.spki),
        logId: logId(log.spki),
      },
    ],
    certificateAuthorities: [
      { subject, uri: "https://ca.test", certChain: certificates(ca.rootCertificate), validFor },
    ],
    ctlogs: [
      {
        baseUrl: "https://ct.test",
        hashAlgorithm: "SHA2_256",
        publicKey: key(certificateLog.publicKey),
        logId: logId(certificateLog.publicKey),
      },
    ],
    timestampAuthorities: [
      {
        subject,
        uri: "https://clock.test",
        certChain: certificates(clock.intCertificate, clock.rootCertificate),
        validFor,
      },
    ],
  };
  const handlers = [fulcioHandler(ca), tsaHandler(clock)];
  return { root, handlers };
}

/** Starts one on a port of its own. Without a log of certificates its authority gives no SCT. */
export async function startSigstore({ hasCertificateLog = true } = {}): Promise<FixtureSigstore> {
  const log = new FixtureLog();
  const { root, handlers } = await answers(log, hasCertificateLog);
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const text = await bodyOf(request);
    if (request.url === "/api/v2/log/entries") {
      response.writeHead(201, { "content-type": "application/json" });
      response.end(JSON.stringify(log.append(JSON.parse(text))));
      return;
    }
    const handler = handlers.find(({ path }) => path === request.url);
    const said = await handler?.fn(text);
    response.writeHead(said?.statusCode ?? 404, { "content-type": said?.contentType ?? "text/plain" });
    const body = said?.response ?? "nothing is here";
    response.end(
      typeof body === "string" ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    );
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const base = `http://127.0.0.1:${address.port}`;
  return {
    services: { authority: base, log: base, clock: `${base}/api/v1/timestamp` },
    log,
    root,
    close: () => new Promise((closed) => server.close(() => closed())),
  };
}
