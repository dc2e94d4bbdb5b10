/** One look at an issuer's keys, over verified TLS, bounded in time and size. */
import { request } from "node:https";
import type { KeyLocation, VerificationKey } from "../model/authentication.ts";
import { parseKeySet } from "../model/jwks.ts";

/** A set with 32 RSA keys and their certificates is about 100 KiB. */
const BODY_BYTES_MAX = 256 * 1024;
/** From the first packet to the last byte. */
const FETCH_MS_MAX = 5_000;

/** What came of it. Keys that cannot be used are left out, and named in `problems`. */
export interface FetchedKeys {
  readonly keys: readonly VerificationKey[];
  readonly problems: readonly string[];
}

/** Fetches a key set; throws where there is none to be had. Redirections are not followed: they could lead anywhere. */
export async function fetchKeySet({ uri, caBundle }: KeyLocation, signal: AbortSignal): Promise<FetchedKeys> {
  const body = await get(uri, caBundle, AbortSignal.any([signal, AbortSignal.timeout(FETCH_MS_MAX)]));
  const fetched = parseKeySet(JSON.parse(body));
  if (fetched.keys.length === 0) {
    throw new Error(`no usable key: ${fetched.problems.join("; ") || "the set is empty"}`);
  }
  return fetched;
}

function get(uri: string, ca: string | undefined, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = {
    signal,
    agent: false,
    headers: { accept: "application/json, application/jwk-set+json" },
    minVersion: "TLSv1.2" as const,
    ...(ca === undefined ? {} : { ca }),
  };
  const asked = request(uri, options, (response) => {
    if (response.statusCode !== 200) {
      reject(new Error(`HTTP status ${response.statusCode ?? 0}`));
      response.destroy();
      return;
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    response.on("data", (part: Buffer) => {
      bytes += part.length;
      parts.push(part);
      if (bytes > BODY_BYTES_MAX) response.destroy(new Error(`more than ${BODY_BYTES_MAX} bytes`));
    });
    response.on("end", () => resolve(Buffer.concat(parts).toString("utf8")));
    response.on("error", reject);
  });
  asked.on("error", reject);
  asked.end();
  return promise;
}
