/** Static certificates for the peers, of the kind the mesh issues: ECDSA P-256 leaves under one issuer. */

import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { writeCertificatesPem } from "@hauberk/crypto/certificate.ts";
import {
  createIssuer,
  createTrustAnchor,
  issueLeaf,
  randomSerial,
  writePrivateKeyPem,
} from "@hauberk/crypto/issue.ts";

const LIFE_MS = 24 * 3_600_000;

/** Paths of the files of one end. */
export type Certified = {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  /** Certificate and key in one file, as HAProxy wants them. */
  readonly both: string;
  readonly identity: string;
};

/** An authority, as the files that a control plane opens. */
export type AuthorityFiles = {
  /** A folder with `crt.pem`, `key.pem` and `ca-bundle.crt`. */
  readonly issuerDir: string;
  readonly anchorsPem: string;
};

/** The two ends of a pair. */
export type Role = "outbound" | "inbound";

/** Writes the anchor and one leaf per end to `folder`; the files belong to `uid`. */
export function certify(
  folder: string,
  identities: Readonly<Record<Role, string>>,
  uid: number,
): { readonly ends: Readonly<Record<Role, Certified>>; readonly authority: AuthorityFiles } {
  const life = { nowMs: Date.now(), lifeMs: LIFE_MS };
  const authority = (commonName: string) => ({
    ...life,
    commonName,
    keys: generateKeyPair("ecdsa-p256-sha256"),
    serial: randomSerial(),
  });
  const anchor = createTrustAnchor(authority("root.linkerd.cluster.local"));
  const issuer = createIssuer(anchor, authority("identity.linkerd.cluster.local"));
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    chmodSync(path, 0o600);
    chownSync(path, uid, uid);
    return path;
  };
  const ca = write("ca.crt", writeCertificatesPem([anchor.certificate]));
  const certified = (role: Role): Certified => {
    const keys = generateKeyPair("ecdsa-p256-sha256");
    const identity = identities[role];
    const names = [{ kind: "dns", value: identity }] as const;
    const leaf = issueLeaf(issuer, { ...life, serial: randomSerial(), publicKey: keys.publicKey, names });
    const chain = writeCertificatesPem([leaf, issuer.certificate]);
    const key = writePrivateKeyPem(keys);
    return {
      ca,
      identity,
      certificate: write(`${role}.crt`, chain),
      key: write(`${role}.key`, key),
      both: write(`${role}.pem`, chain + key),
    };
  };
  const issuerDir = join(folder, "issuer");
  mkdirSync(issuerDir);
  const anchorsPem = writeCertificatesPem([anchor.certificate]);
  write("issuer/crt.pem", writeCertificatesPem([issuer.certificate]));
  write("issuer/key.pem", writePrivateKeyPem(issuer.keys));
  write("issuer/ca-bundle.crt", anchorsPem);
  const ends = { outbound: certified("outbound"), inbound: certified("inbound") };
  return { ends, authority: { issuerDir, anchorsPem } };
}
