/** Whether somebody signed in the name of builder or gate what no release has: a stolen identity shows in the log. */
import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { preAuthentication } from "@hauberk/crypto/dsse.ts";
import { request } from "undici";
import { z } from "zod";
import { BUNDLE, readBundle } from "../attest/bundle.ts";
import type { Layout } from "../oci/layout.ts";
import { Manifest, parseDocument } from "../oci/model.ts";
import { readLog, type ReadTile } from "./log.ts";
import type { Trust } from "./trust.ts";

const TILE_MS_MAX = 30_000;
/** 256 entries of at most 64 KiB. */
const TILE_BYTES_MAX = 16 * 1024 * 1024;

/** Files of a log at a URL or in a folder. */
export function tilesAt(where: string): ReadTile {
  if (!/^https?:/.test(where)) return (path) => readFile(join(resolve(where), path));
  return async (path) => {
    const url = `${where.replace(/\/+$/, "")}/${path}`;
    const { statusCode, body } = await request(url, { signal: AbortSignal.timeout(TILE_MS_MAX) });
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of body) {
      const bytes = Buffer.from(chunk);
      size += bytes.length;
      if (size > TILE_BYTES_MAX) throw new Error(`${url} has more than ${TILE_BYTES_MAX} bytes`);
      chunks.push(bytes);
    }
    if (statusCode !== 200) throw new Error(`${url}: ${statusCode}`);
    return Buffer.concat(chunks);
  };
}

/** Digests, in base64, of what was signed with certificates in the layouts of releases. */
export async function signedIn(layouts: readonly Layout[]): Promise<ReadonlySet<string>> {
  const known = new Set<string>();
  for (const layout of layouts) {
    for (const { artifactType, digest } of await layout.entries()) {
      if (artifactType !== BUNDLE) continue;
      const [layer] = parseDocument(Manifest, await layout.blob(digest), digest).layers;
      if (layer === undefined) continue;
      const { envelope, way } = readBundle(await layout.blob(layer.digest));
      if (way === "key") continue;
      const message = preAuthentication(envelope.payloadType, envelope.payload);
      known.add(createHash("sha256").update(message).digest("base64"));
    }
  }
  return known;
}

/** Both kinds of entry that Rekor v2 has; of the second only that it is one of ours is known. */
const Entry = z.object({
  kind: z.string(),
  spec: z.object({
    hashedRekordV002: z
      .object({
        data: z.object({ digest: z.string() }),
        signature: z.object({
          verifier: z.object({ x509Certificate: z.object({ rawBytes: z.string() }).optional() }),
        }),
      })
      .optional(),
    dsseV002: z
      .object({
        signatures: z.array(
          z.object({
            verifier: z.object({ x509Certificate: z.object({ rawBytes: z.string() }).optional() }),
          }),
        ),
      })
      .optional(),
  }),
});

/** An entry of ours that nothing explains. */
export interface Unexplained {
  readonly index: number;
  readonly identity: string;
  /** Base64 of the SHA-256 of what was signed. */
  readonly digest: string;
}

function namesIn(certificate: string): readonly string[] {
  const { subjectAltName = "" } = new X509Certificate(Buffer.from(certificate, "base64"));
  return subjectAltName.split(", ").map((name) => name.replace(/^(?:URI|email):/, ""));
}

function unexplained(
  bytes: Buffer,
  index: number,
  { identities, known }: { readonly identities: ReadonlySet<string>; readonly known: ReadonlySet<string> },
): readonly Unexplained[] {
  const { hashedRekordV002, dsseV002 } = parseDocument(Entry, bytes, `entry ${index} of the log`).spec;
  const signatures = hashedRekordV002 === undefined ? dsseV002?.signatures : [hashedRekordV002.signature];
  const digest = hashedRekordV002?.data.digest ?? "unknown";
  return (signatures ?? []).flatMap(({ verifier }) => {
    const { rawBytes } = verifier.x509Certificate ?? {};
    const identity =
      rawBytes === undefined ? undefined : namesIn(rawBytes).find((name) => identities.has(name));
    return identity === undefined || known.has(digest) ? [] : [{ index, identity, digest }];
  });
}

/** What one log says. */
export interface LogAudit {
  readonly origin: string;
  readonly entries: number;
  readonly unexplained: readonly Unexplained[];
}

/**
 * Reads the logs that `trust` names, whole, and reports what is signed in the name of its parties and not `known`; at
 * `where` instead of where the trust root says. @throws if a log is not what its checkpoint signs, or nobody is certified.
 */
export async function auditLogs(
  { builder, gate, sigstore }: Trust,
  known: ReadonlySet<string>,
  where?: string,
): Promise<readonly LogAudit[]> {
  const identities = new Set([builder, gate].flatMap((party) => party?.certified?.identity ?? []));
  if (sigstore === undefined || identities.size === 0)
    throw new Error("trust: nobody in it signs with certificates, so that no log can say anything");
  const audits: LogAudit[] = [];
  for (const { baseURL, publicKey } of sigstore.material.tlogs) {
    const { checkpoint, entries } = await readLog(tilesAt(where ?? baseURL), publicKey);
    const found = entries.flatMap((entry, index) => unexplained(entry, index, { identities, known }));
    audits.push({ origin: checkpoint.origin, entries: entries.length, unexplained: found });
  }
  return audits;
}

/** As people read it. */
export function describeAudit({ origin, entries, unexplained: found }: LogAudit): string {
  if (found.length === 0)
    return `√ log ${origin}: ${entries} entries give its signed root, and each of ours is of a release\n`;
  return found
    .map(
      ({ index, identity, digest }) =>
        `× log ${origin}: entry-unexplained: entry ${index} by ${identity} over sha256 ${digest} is of no release\n`,
    )
    .join("");
}
