import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "@hauberk/crypto/digest.ts";
import { ANCHOR_LIFE_MS, ISSUER_LIFE_MS, createAuthority } from "../identity/issuer.ts";
import { TOKEN_LIFE_MS_MAX, joinKey, mintJoinToken } from "../identity/token.ts";
import type { JoinKey } from "../identity/token.ts";
import type { BoundPod } from "../identity/verified.ts";

/** A new mesh's authority, on disk and at hand. */
export interface MeshAuthority {
  readonly issuerDir: string;
  readonly joinTokenKey: string;
  /** The trust bundle as it is now: a rotation changes it while the mesh runs. */
  readonly trustAnchorsPem: () => string;
  readonly key: JoinKey;
}

/** Makes the trust anchor, the issuer and the key of join tokens. The anchor's private key is kept nowhere. */
export async function newAuthority(
  dir: string,
  domain: { readonly trustDomain: string; readonly controlPlaneNamespace: string },
): Promise<MeshAuthority> {
  const issuerDir = join(dir, "issuer");
  await mkdir(issuerDir, { recursive: true, mode: 0o700 });
  const life = { nowMs: Date.now(), anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs: ISSUER_LIFE_MS };
  const { issuer } = createAuthority(domain, life);
  const { privateKey } = generateKeyPairSync("ed25519");
  const pair = joinKey(privateKey);
  if (pair === undefined) throw new Error("an Ed25519 key does not sign join tokens");
  const joinTokenKey = join(dir, "join-token.key");
  const bundle = join(issuerDir, "ca-bundle.crt");
  const files: readonly (readonly [string, string])[] = [
    [join(issuerDir, "crt.pem"), issuer.certificates],
    [join(issuerDir, "key.pem"), issuer.privateKey],
    [bundle, issuer.anchors],
    [joinTokenKey, privateKey.export({ format: "pem", type: "pkcs8" })],
  ];
  await Promise.all(files.map(([path, text]) => writeFile(path, text, { mode: 0o600 })));
  return {
    issuerDir,
    joinTokenKey,
    trustAnchorsPem: () => readFileSync(bundle, "utf8"),
    key: pair.key,
  };
}

/** How a bundle is named on pods: the digest of its text. */
export function trustRootSha256(pem: string): string {
  return Buffer.from(sha256(Buffer.from(pem))).toString("hex");
}

/** Writes a pod's join token, which dies with the pod. */
export async function writeToken(authority: MeshAuthority, pod: BoundPod, path: string): Promise<void> {
  const token = await mintJoinToken(authority.key, pod, { nowMs: Date.now(), lifeMs: TOKEN_LIFE_MS_MAX });
  await writeFile(path, token, { mode: 0o600 });
}
