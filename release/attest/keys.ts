/** The builder's keys as files, and what others need of them. */
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
import type { Trust } from "../verify/verify.ts";
import type { Signer } from "./attest.ts";

const FILES = { classical: "builder.pem", postQuantum: "builder-ml-dsa-87.pem" } as const;

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

const TrustFile = z.strictObject({
  builderId: z.url(),
  builder: z.string(),
  postQuantum: z.string(),
});

/** A public key as other tools read it. */
export function publicPem(key: PublicKey): string {
  return key.key.export({ type: "spki", format: "pem" });
}

/** What a verifier needs: the builder's name and public keys. */
export function writeTrust({ classical, postQuantum }: Signer, builderId: string): string {
  const file = {
    builderId,
    builder: publicPem(classical.publicKey),
    postQuantum: publicPem(postQuantum.publicKey),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

function readTrusted(pem: string, field: string, wanted: AlgorithmName): PublicKey {
  const key = readPublicKey(new Uint8Array(createPublicKey(pem).export({ type: "spki", format: "der" })));
  if (key.algorithm.name !== wanted)
    throw new Error(`trust: ${field} is ${key.algorithm.name}, and ${wanted} is needed`);
  return key;
}

/** Reads a trust file. @throws naming the field that is wrong. */
export function readTrust(text: string): Trust {
  const { builderId, builder, postQuantum } = TrustFile.parse(JSON.parse(text));
  return {
    builderId,
    builder: readTrusted(builder, "builder", "ecdsa-p256-sha256"),
    postQuantum: readTrusted(postQuantum, "postQuantum", "ml-dsa-87"),
  };
}
