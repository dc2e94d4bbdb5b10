import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { readCertificatesPem, writeCertificatesPem } from "@hauberk/crypto/certificate.ts";
import { issueLeaf, openAuthority, randomSerial, writePrivateKeyPem } from "@hauberk/crypto/issue.ts";
import { z } from "zod";
import { ISSUER_SECRET, TRUST_ROOTS } from "@hauberk/mesh/identity/trust-objects.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
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

/** An issuer, as PEM. */
export interface IssuerPem {
  readonly chain: string;
  readonly privateKey: string;
  readonly anchors: string;
}

/** The issuer of a standalone mesh, whose files only the mesh's owner can read. */
export async function issuerOf(paths: StatePaths): Promise<IssuerPem> {
  const read = (name: string): Promise<string> => readFile(join(paths.identity, "issuer", name), "utf8");
  const [chain, privateKey, anchors] = await Promise.all([
    read("crt.pem"),
    read("key.pem"),
    read("ca-bundle.crt"),
  ]);
  return { chain, privateKey, anchors };
}

const Secret = z.looseObject({ data: z.record(z.string(), z.string()) });
const ConfigMap = z.looseObject({ data: z.record(z.string(), z.string()) });

/** The issuer of a cluster's mesh: whoever may read its Secret may tap. */
export async function clusterIssuer(client: KubeClient, namespace: string): Promise<IssuerPem> {
  const [secret, roots] = await Promise.all([
    client.get({ type: RESOURCES.secrets, namespace, name: ISSUER_SECRET }),
    client.get({ type: RESOURCES.configMaps, namespace, name: TRUST_ROOTS.name }),
  ]);
  const { data } = Secret.parse(secret);
  const text = (...keys: readonly string[]): string =>
    Buffer.from(keys.map((key) => data[key]).find((one) => one !== undefined) ?? "", "base64").toString(
      "utf8",
    );
  return {
    chain: text("crt.pem", "tls.crt"),
    privateKey: text("key.pem", "tls.key"),
    anchors: ConfigMap.parse(roots).data[TRUST_ROOTS.key] ?? "",
  };
}

/** Issues it from the mesh's own issuer, for the identity that its proxies let tap them. The key is written nowhere. */
export function tapCredentials(
  { chain, privateKey, anchors }: IssuerPem,
  identity: string = TAP_IDENTITY,
): TapCredentials {
  const [issuer, ...others] = readCertificatesPem(chain);
  if (issuer === undefined) throw new Error("the mesh has no issuer");
  const keys = generateKeyPair("ecdsa-p256-sha256");
  const leaf = issueLeaf(openAuthority(issuer, privateKey), {
    publicKey: keys.publicKey,
    names: [{ kind: "dns", value: identity }],
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
