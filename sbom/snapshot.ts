/** Reads a folder of OSV advisories, as the databases' archives unpack to. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Advisory, type Snapshot } from "./osv.ts";

/** @throws naming the file that is no advisory, or if there is none. */
export async function readSnapshot(dir: string): Promise<Snapshot> {
  const files = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith(".json")).toSorted();
  const whole = createHash("sha256");
  const advisories: Advisory[] = [];
  let at = 0;
  for (const file of files) {
    const bytes = await readFile(join(dir, file));
    whole.update(`${file}\0${createHash("sha256").update(bytes).digest("hex")}\n`);
    const parsed = Advisory.safeParse(JSON.parse(bytes.toString()));
    if (!parsed.success) throw new Error(`${file} is no advisory in the OSV format`, { cause: parsed.error });
    advisories.push(parsed.data);
    at = Math.max(at, Date.parse(parsed.data.modified));
  }
  if (advisories.length === 0) throw new Error("the snapshot of advisories is empty");
  return { digest: whole.digest("hex"), at: new Date(at), advisories };
}
