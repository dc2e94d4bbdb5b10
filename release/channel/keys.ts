/** Keys of the channel's roles, as files. */
import { createPrivateKey } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateKeyPair, publicKeyOf, type KeyPair, type PublicKey } from "@hauberk/crypto/algorithms.ts";
import { canonicalize } from "@tufjs/canonical-json";
import { createHash } from "node:crypto";
import { RULES, ROLE_NAMES, type RoleName } from "./roles.ts";

/** A key as TUF metadata spells it. */
export interface TufKey {
  readonly keytype: "ecdsa";
  readonly scheme: "ecdsa-sha2-nistp256";
  readonly keyval: { readonly public: string };
}

/** Writes a public key the way TUF's clients read one. */
export function tufKey(key: PublicKey): TufKey {
  const pem = key.key.export({ type: "spki", format: "pem" });
  return { keytype: "ecdsa", scheme: "ecdsa-sha2-nistp256", keyval: { public: pem } };
}

/** Name of a key: SHA-256 of its canonical form (specification, "keyid"). */
export function keyIdOf(key: TufKey): string {
  return createHash("sha256").update(canonicalize(key)).digest("hex");
}

/** Keys by their names; those that this machine does not hold are not in it. */
export type Keyring = ReadonlyMap<string, KeyPair>;

/** Reads whatever keys of the channel's lie in `dir`. @throws if a file holds another kind of key. */
export async function readKeyring(dir: string): Promise<Keyring> {
  const ring = new Map<string, KeyPair>();
  for (const name of ROLE_NAMES.flatMap((role) => RULES[role].keys)) {
    const path = join(dir, `${name}.pem`);
    if (!existsSync(path)) continue;
    const privateKey = createPrivateKey(await readFile(path));
    const publicKey = publicKeyOf(privateKey);
    if (publicKey.algorithm.name !== "ecdsa-p256-sha256")
      throw new Error(`${path} holds ${publicKey.algorithm.name}, and ecdsa-p256-sha256 is needed`);
    ring.set(name, { privateKey, publicKey });
  }
  return ring;
}

/** Makes every key of every role in `dir`. @throws if one is there already. */
export async function makeKeyring(dir: string): Promise<Keyring> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const ring = new Map<string, KeyPair>();
  for (const name of ROLE_NAMES.flatMap((role) => RULES[role].keys)) {
    const pair = generateKeyPair("ecdsa-p256-sha256");
    const pem = pair.privateKey.export({ type: "pkcs8", format: "pem" });
    await writeFile(join(dir, `${name}.pem`), pem, { mode: 0o600, flag: "wx" });
    ring.set(name, pair);
  }
  return ring;
}

/** The keys at hand for `role`. @throws {@link MissingKeysError} if they are fewer than its threshold. */
export function signersOf(role: RoleName, ring: Keyring): readonly KeyPair[] {
  const { keys, threshold } = RULES[role];
  const held = keys.flatMap((name) => ring.get(name) ?? []);
  if (held.length < threshold) throw new MissingKeysError(role, held.length);
  return held;
}

/** Fewer keys are at hand than a role's threshold. */
export class MissingKeysError extends Error {
  override readonly name = "MissingKeysError";
  constructor(role: RoleName, held: number) {
    const { keys, threshold } = RULES[role];
    super(`${role} needs ${threshold} of the keys ${keys.join(", ")}; ${held} are at hand`);
  }
}
