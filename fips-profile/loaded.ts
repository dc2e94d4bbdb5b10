/** Which module this process was given, as its build recorded it beside the provider. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Claim } from "./claims.ts";

/** The record that lies beside a provider. */
export interface ModuleRecord {
  readonly module: string;
  readonly version: string;
  /** The crate that it was built from, with its version. */
  readonly crate: string;
  /** SHA-256 of the provider's file. */
  readonly sha256: string;
}

/** Name of the record's file. */
export const RECORD = "module.json";

/** What is recorded of a provider that was just built. */
export function recordOf({ module, version, crate }: Claim, provider: Uint8Array): ModuleRecord {
  return { module, version, crate, sha256: createHash("sha256").update(provider).digest("hex") };
}

/** The module below `folder`, if the record is of exactly the provider that lies there. */
export function recordedModule(folder: string): ModuleRecord | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(join(folder, RECORD), "utf8"));
    const sha256 = createHash("sha256")
      .update(readFileSync(join(folder, "fips.so")))
      .digest("hex");
    return isRecord(record) && record.sha256 === sha256 ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is ModuleRecord {
  if (typeof value !== "object" || value === null) return false;
  const of = new Map(Object.entries(value));
  return ["module", "version", "crate", "sha256"].every((name) => typeof of.get(name) === "string");
}
