/** Debian's `libfaketime`: the machine's own, or unpacked into the cache. */
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const PLACE = "usr/lib/*/faketime/libfaketime.so.1";
const CACHE = join(import.meta.dirname, "..", "..", ".cache", "conformance", "faketime");
/** A download of 30 KB, perhaps after one of the package lists. */
const FETCH_MS_MAX = 180_000;

/** A fresh machine has no package lists yet. */
const FETCH =
  "apt-get download -q libfaketime || { apt-get update -q && apt-get download -q libfaketime; } && dpkg -x libfaketime_*.deb root";

/** The library that a dynamically linked process takes its clock of the day from. @throws if it is not to be had. */
export async function findFaketime(): Promise<string> {
  const known = globSync([`/${PLACE}`, join(CACHE, "root", PLACE)])[0];
  if (known !== undefined) return known;
  await mkdir(CACHE, { recursive: true });
  await run("sh", ["-c", FETCH], { cwd: CACHE, timeout: FETCH_MS_MAX });
  const fetched = globSync(join(CACHE, "root", PLACE))[0];
  if (fetched === undefined) throw new Error(`libfaketime was fetched into ${CACHE} and is not in it`);
  return fetched;
}
