/** An audit record as one file, which is verified without the cluster. Pure. */
import { isDigest, type Digest } from "@hauberk/crypto/digest.ts";
import type { AuditKeys } from "@hauberk/release/audit/record.ts";
import { z } from "zod";
import { AuditKeysPem, keysAsPem } from "./keys.ts";
import type { Stored } from "./store.ts";

const Exported = z.strictObject({
  format: z.literal("hauberk-audit/v1"),
  keys: AuditKeysPem,
  head: z
    .strictObject({
      sequence: z.int().positive(),
      digest: z.custom<Digest>((value) => typeof value === "string" && isDigest(value), "no digest"),
    })
    .optional(),
  entries: z.array(z.string()),
});
export type Exported = z.infer<typeof Exported>;

export function writeExport({ entries, head }: Stored, keys: AuditKeys): Exported {
  return {
    format: "hauberk-audit/v1",
    keys: keysAsPem(keys),
    ...(head === undefined ? {} : { head }),
    entries: [...entries],
  };
}

/** @throws naming the field that is wrong. */
export function readExport(text: string): Exported {
  return Exported.parse(JSON.parse(text));
}
