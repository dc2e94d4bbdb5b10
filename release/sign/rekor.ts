/** A client of Rekor v2: one entry in, its proof out. `@sigstore/sign` writes entries of another shape than cosign's. */
import { createHash } from "node:crypto";
import { request } from "undici";
import { z } from "zod";

/** The log answers when its next checkpoint is there, which may take some seconds. */
const ENTRY_MS_MAX = 60_000;
/** An entry with its proof has some kilobytes. */
const ANSWER_BYTES_MAX = 256 * 1024;

/** A `TransparencyLogEntry` of protobuf-specs as JSON; what is not named here is kept as it is. */
export const LogEntry = z.looseObject({
  logIndex: z.string(),
  canonicalizedBody: z.string(),
  inclusionProof: z.looseObject({ checkpoint: z.looseObject({ envelope: z.string() }) }),
});
export type LogEntry = z.infer<typeof LogEntry>;

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

async function readAll(body: AsyncIterable<Uint8Array>, url: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) throw new Error(`${url} sent more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Logs that `signature`, by the key in `certificate` (DER), is over `message`: a `hashedrekord` 0.0.2 over its SHA-256.
 * @throws with the log's words if it refuses.
 */
export async function logSignature(
  log: string,
  {
    message,
    signature,
    certificate,
  }: { readonly message: Uint8Array; readonly signature: Uint8Array; readonly certificate: Uint8Array },
): Promise<LogEntry> {
  const url = `${log}/api/v2/log/entries`;
  const verifier = {
    x509Certificate: { rawBytes: base64(certificate) },
    keyDetails: "PKIX_ECDSA_P256_SHA_256",
  };
  const { statusCode, body } = await request(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({
      hashedRekordRequestV002: {
        digest: createHash("sha256").update(message).digest("base64"),
        signature: { content: base64(signature), verifier },
      },
    }),
    signal: AbortSignal.timeout(ENTRY_MS_MAX),
  });
  const answer = await readAll(body, url);
  if (statusCode !== 200 && statusCode !== 201)
    throw new Error(`${url}: ${statusCode} ${answer.subarray(0, 500).toString()}`);
  const parsed = LogEntry.safeParse(JSON.parse(answer.toString()));
  if (!parsed.success) throw new Error(`${url}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
