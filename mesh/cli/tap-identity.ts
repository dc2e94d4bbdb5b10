import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { readCertificatesPem, writeCertificatesPem } from "@hauberk/crypto/certificate.ts";
import { issueLeaf, openAuthority, randomSerial, writePrivateKeyPem } from "@hauberk/crypto/issue.ts";
import { TAP_IDENTITY } from "@hauberk/mesh/standalone/control-plane.ts";
import type { StatePaths } from "@hauberk/mesh/standalone/state.ts";

/** A tap that goes on for longer keeps its connections; only new ones need a new certificate. */
const LIFE_MS = 15 * 60_000;

/** What proves to proxies that the one who taps may. */
export interface TapCredentials {
  readonly certificate: string;
  readonly privateKey: string;
  readonly anchors: string;
}

/** Issues it from the mesh's own issuer, whose files only the mesh's owner can read. The key is written nowhere. */
export async function tapCredentials(paths: StatePaths): Promise<TapCredentials> {
  const read = (name: string): Promise<string> => readFile(join(paths.identity, "issuer", name), "utf8");
  const [chain, privateKey, anchors] = await Promise.all([
    read("crt.pem"),
    read("key.pem"),
    read("ca-bundle.crt"),
  ]);
  const [issuer, ...others] = readCertificatesPem(chain);
  if (issuer === undefined) throw new Error("the mesh has no issuer");
  const keys = generateKeyPair("ecdsa-p256-sha256");
  const leaf = issueLeaf(openAuthority(issuer, privateKey), {
    publicKey: keys.publicKey,
    names: [{ kind: "dns", value: TAP_IDENTITY }],
    serial: randomSerial(),
    nowMs: Date.now(),
    lifeMs: LIFE_MS,
  });
  return {
    certificate: writeCertificatesPem([leaf, issuer, ...others]),
    privateKey: writePrivateKeyPem(keys),
    anchors,
  };
}
