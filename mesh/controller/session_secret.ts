/** The secret from which sessions' tokens are made: of a file, else of the issuer's key, else of this process alone. */
import { hkdfSync, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { ControllerConfig } from "./config.ts";
import { findIssuer } from "./identity.ts";

const SECRET_BYTES = 32;
const USE = "hauberk session persistence";

/** The same after a restart, unless the process has neither a key of its own nor an issuer's. */
export async function sessionSecret({ sessionKey, identity }: ControllerConfig): Promise<Uint8Array> {
  if (sessionKey !== undefined) {
    const given = await readFile(sessionKey);
    if (given.length < SECRET_BYTES) throw new Error(`${sessionKey}: holds fewer than ${SECRET_BYTES} bytes`);
    return derived(given);
  }
  if (identity === undefined) return randomBytes(SECRET_BYTES);
  const { privateKey } = await findIssuer(identity.issuerDir);
  return derived(await readFile(privateKey));
}

function derived(key: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(), USE, SECRET_BYTES));
}
