/** Keys of the builder and of the gate as files, and what others need of them. */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  generateKeyPair,
  publicKeyOf,
  readPublicKey,
  type AlgorithmName,
  type KeyPair,
  type PublicKey,
} from "@hauberk/crypto/algorithms.ts";
import { z } from "zod";
import { readSigstoreRoot } from "../verify/certificate.ts";
import type { Party, Trust } from "../verify/trust.ts";
import type { Signer } from "./attest.ts";

const FILES = { classical: "ecdsa-p256.pem", postQuantum: "ml-dsa-87.pem" } as const;

async function readKey(path: string, wanted: AlgorithmName): Promise<KeyPair> {
  const privateKey = createPrivateKey(await readFile(path));
  const publicKey = publicKeyOf(privateKey);
  if (publicKey.algorithm.name !== wanted)
    throw new Error(`${path} holds ${publicKey.algorithm.name}, and ${wanted} is needed`);
  return { privateKey, publicKey };
}

/** Reads both keys from `dir`. @throws if one is missing or of another kind. */
export async function readSigner(dir: string): Promise<Signer> {
  return {
    classical: await readKey(join(dir, FILES.classical), "ecdsa-p256-sha256"),
    postQuantum: await readKey(join(dir, FILES.postQuantum), "ml-dsa-87"),
  };
}

/** Makes both keys in `dir`, readable by their owner alone. @throws if one is there already. */
export async function makeSigner(dir: string): Promise<Signer> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const signer = {
    classical: generateKeyPair("ecdsa-p256-sha256"),
    postQuantum: generateKeyPair("ml-dsa-87"),
  };
  for (const kind of ["classical", "postQuantum"] as const) {
    const pem = signer[kind].privateKey.export({ type: "pkcs8", format: "pem" });
    await writeFile(join(dir, FILES[kind]), pem, { mode: 0o600, flag: "wx" });
  }
  return signer;
}

/** Whom a certificate must name, and who must have known them: compared exactly. */
const CertifiedFile = z.strictObject({ identity: z.string().min(1), issuer: z.string().min(1) });
const PartyFile = z.strictObject({
  id: z.url(),
  classical: z.string(),
  postQuantum: z.string(),
  certified: CertifiedFile.optional(),
});
const TrustFile = z.strictObject({
  builder: PartyFile,
  gate: PartyFile.optional(),
  /** A Sigstore's trust root, as cosign takes it. */
  sigstore: z.unknown().optional(),
});

/** A public key as other tools read it. */
export function publicPem(key: PublicKey): string {
  return key.key.export({ type: "spki", format: "pem" });
}

/** A party as a verifier knows it. */
export function partyOf(
  { classical, postQuantum }: Signer,
  id: string,
  certified?: Party["certified"],
): Party {
  const keys = { id, classical: classical.publicKey, postQuantum: postQuantum.publicKey };
  return certified === undefined ? keys : { ...keys, certified };
}

function partyFile({ id, classical, postQuantum, certified }: Party): z.infer<typeof PartyFile> {
  const keys = { id, classical: publicPem(classical), postQuantum: publicPem(postQuantum) };
  return certified === undefined ? keys : { ...keys, certified: { ...certified } };
}

/** What a verifier needs: names and public keys. */
export function writeTrust({ builder, gate, sigstore }: Trust): string {
  const parties = {
    builder: partyFile(builder),
    ...(gate === undefined ? {} : { gate: partyFile(gate) }),
    ...(sigstore === undefined ? {} : { sigstore: sigstore.json }),
  };
  return `${JSON.stringify(parties, undefined, 2)}\n`;
}

function readTrusted(pem: string, field: string, wanted: AlgorithmName): PublicKey {
  const key = readPublicKey(new Uint8Array(createPublicKey(pem).export({ type: "spki", format: "der" })));
  if (key.algorithm.name !== wanted)
    throw new Error(`trust: ${field} is ${key.algorithm.name}, and ${wanted} is needed`);
  return key;
}

function readParty(name: "builder" | "gate", file: z.infer<typeof PartyFile>): Party {
  const keys = {
    id: file.id,
    classical: readTrusted(file.classical, `${name}.classical`, "ecdsa-p256-sha256"),
    postQuantum: readTrusted(file.postQuantum, `${name}.postQuantum`, "ml-dsa-87"),
  };
  return file.certified === undefined ? keys : { ...keys, certified: file.certified };
}

function isSame(builder: Party, gate: Party): boolean {
  if (gate.id === builder.id || gate.classical.key.equals(builder.classical.key)) return true;
  const [one, other] = [builder.certified, gate.certified];
  return one !== undefined && one.identity === other?.identity && one.issuer === other.issuer;
}

/**
 * Reads a trust file. @throws naming the field that is wrong, if builder and gate are one, or if certificates are demanded
 * and nothing says whose.
 */
export function readTrust(text: string): Trust {
  const parsed = TrustFile.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`trust: ${z.prettifyError(parsed.error)}`);
  const { builder: builderFile, gate: gateFile, sigstore: root } = parsed.data;
  const builder = readParty("builder", builderFile);
  const gate = gateFile === undefined ? undefined : readParty("gate", gateFile);
  if (gate !== undefined && isSame(builder, gate))
    throw new Error("trust: the gate is the builder: it would vouch for itself");
  const certified = [builder, gate].find((party) => party?.certified !== undefined);
  if (certified !== undefined && root === undefined)
    throw new Error(`trust: ${certified.id} signs with certificates, and sigstore, their root, is missing`);
  return {
    builder,
    ...(gate === undefined ? {} : { gate }),
    ...(root === undefined ? {} : { sigstore: readSigstoreRoot(root) }),
  };
}
