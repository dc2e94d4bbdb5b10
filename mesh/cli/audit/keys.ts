/** The public keys of an audit record as a file. Pure. */
import { createPublicKey } from "node:crypto";
import { readPublicKey, type AlgorithmName, type PublicKey } from "@hauberk/crypto/algorithms.ts";
import type { AuditKeys } from "@hauberk/release/audit/record.ts";
import { z } from "zod";

const pem = ({ key }: PublicKey): string => key.export({ type: "spki", format: "pem" });

/** As they are kept and exported. */
export const AuditKeysPem = z.object({ classical: z.string(), "post-quantum": z.string() });
export type AuditKeysPem = z.infer<typeof AuditKeysPem>;

export function keysAsPem({ classical, postQuantum }: AuditKeys): AuditKeysPem {
  return { classical: pem(classical), "post-quantum": pem(postQuantum) };
}

function readPem(text: string, wanted: AlgorithmName): PublicKey {
  const key = readPublicKey(new Uint8Array(createPublicKey(text).export({ type: "spki", format: "der" })));
  if (key.algorithm.name !== wanted)
    throw new Error(`an audit record has a key of ${wanted}, not of ${key.algorithm.name}`);
  return key;
}

/** @throws if a key is missing or of another kind. */
export function keysFromPem(value: unknown): AuditKeys {
  const { classical, "post-quantum": postQuantum } = AuditKeysPem.parse(value);
  return {
    classical: readPem(classical, "ecdsa-p256-sha256"),
    postQuantum: readPem(postQuantum, "ml-dsa-87"),
  };
}
