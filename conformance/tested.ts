/** What a run of the suites is about: the programs whose bytes it ran, and the source of what it ran as source. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { binaryPath } from "./exhaustion/binaries.ts";

const ROOT = join(import.meta.dirname, "..");

/** Whoever signs a report holds it against the artifacts that the report is to speak of. */
export const Tested = z.strictObject({
  /** Of the data plane's binary, lower-case hexadecimal. */
  programs: z.array(z.strictObject({ name: z.string(), sha256: z.string() })).min(1),
  /** Of the control plane and the command line, which the suites run as they are in the tree; none where it is no checkout. */
  source: z
    .strictObject({
      commit: z.string(),
      /** Whether the tree was the commit's when the run began and when it ended. */
      isClean: z.boolean(),
    })
    .optional(),
});
export type Tested = z.infer<typeof Tested>;

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

const git = (...words: readonly string[]): string =>
  execFileSync("git", ["-C", ROOT, ...words], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();

function sourceNow(): Tested["source"] {
  try {
    const isClean = git("status", "--porcelain", "--untracked-files=no") === "";
    return { commit: git("rev-parse", "HEAD"), isClean };
  } catch {
    // An archive of the source, or a machine without git.
    return undefined;
  }
}

/** What a run that began now would be about. @throws if there is no proxy. */
export async function testedNow(): Promise<Tested> {
  const source = sourceNow();
  return {
    programs: [{ name: "hauberk-proxy", sha256: await sha256Of(binaryPath("hauberk-proxy")) }],
    ...(source === undefined ? {} : { source }),
  };
}

/** What a whole run was about. @throws if the programs or the commit were others at its end. */
export function testedThroughout(began: Tested, ended: Tested): Tested {
  const changed = began.programs.filter(
    ({ name, sha256 }) => !ended.programs.some((one) => one.name === name && one.sha256 === sha256),
  );
  if (changed.length > 0)
    throw new Error(`${changed.map(({ name }) => name).join(", ")}: built anew while it was tested`);
  if (began.source === undefined || ended.source === undefined) return { programs: began.programs };
  const { commit } = began.source;
  if (commit !== ended.source.commit)
    throw new Error(`the tree went from ${commit} to ${ended.source.commit} during the run`);
  return { ...began, source: { commit, isClean: began.source.isClean && ended.source.isClean } };
}
