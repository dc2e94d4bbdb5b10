/** What a release's attestations say, each verified. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Evidence, Release } from "@hauberk/compliance/evidence/evidence.ts";
import { readTrust } from "@hauberk/release/attest/keys.ts";
import { readDescription } from "@hauberk/release/channel/release.ts";
import { IMAGES } from "@hauberk/release/kinds.ts";
import { isFolder, verifyRelease, type ImageChecks, type Place } from "@hauberk/release/verify/release.ts";
import { z } from "zod";
import { learn } from "./learn.ts";

/** Which release, and whom to believe. */
export interface AskedRelease extends Place {
  readonly names: readonly string[];
  /** Text of the trust file. */
  readonly trust: string;
}

const Vex = z.looseObject({
  tooling: z.string().optional(),
  statements: z.array(z.looseObject({ status: z.string() })),
});
const Bom = z.looseObject({ components: z.array(z.unknown()) });
const Results = z.looseObject({
  result: z.string(),
  passedTests: z.array(z.string()).default([]),
  warnedTests: z.array(z.string()).default([]),
  failedTests: z.array(z.string()).default([]),
});

/** The content of every verified statement of one kind. */
function said<T>(images: readonly ImageChecks[], demand: string, form: z.ZodType<T>): readonly T[] {
  return images
    .flatMap(({ checks }) => checks)
    .flatMap((check) => {
      if (check.demand !== demand || !check.outcome.ok) return [];
      const read = form.safeParse(check.outcome.statement.predicate);
      return read.success ? [read.data] : [];
    });
}

/** The oldest snapshot of advisories that the documents name; none, if one of them names none. */
function advisoriesAt(documents: readonly z.infer<typeof Vex>[]): string | undefined {
  const times = documents.map(({ tooling = "" }) => /^advisories of (\S+), sha256:/.exec(tooling)?.[1]);
  const known = times.filter((time) => time !== undefined).toSorted();
  return known.length === times.length ? known[0] : undefined;
}

function releaseOf(
  where: string,
  {
    images,
    builder,
    gate,
  }: { readonly images: readonly ImageChecks[]; readonly builder: string; readonly gate: string },
): Release {
  const checks = images.flatMap(({ name, checks: own }) =>
    own.map(({ part, demand, subject, outcome }) => ({
      image: name,
      part,
      demand,
      ...(subject === undefined ? {} : { subject }),
      ok: outcome.ok,
      detail: outcome.ok ? "" : `${outcome.refusal}: ${outcome.detail}`,
    })),
  );
  const vex = said(images, "vex", Vex);
  const taken = advisoriesAt(vex);
  // The same judgement is attached to every part: the part with most of them speaks for the release.
  const statements = vex.map((one) => one.statements).toSorted((a, b) => b.length - a.length)[0] ?? [];
  const vulnerabilities: Record<string, number> = {};
  for (const { status } of statements) vulnerabilities[status] = (vulnerabilities[status] ?? 0) + 1;
  const [results] = said(images, "testResult", Results);
  return {
    where,
    builder,
    gate,
    checks,
    components: said(images, "bom", Bom).reduce(
      (most, { components }) => Math.max(most, components.length),
      0,
    ),
    vulnerabilities,
    ...(taken === undefined ? {} : { advisoriesAt: taken }),
    ...(results === undefined
      ? {}
      : {
          conformance: {
            result: results.result,
            passed: results.passedTests.length,
            warned: results.warnedTests.length,
            failed: results.failedTests.length,
          },
        }),
  };
}

/** A folder says which images it has; a registry has all that a release has. */
async function namesIn(where: string): Promise<readonly string[]> {
  if (!isFolder(where)) return IMAGES;
  return Object.keys(readDescription(await readFile(join(resolve(where), "release.json"))).images);
}

/** Verifies a release as `hauberk verify` does. */
export function learnRelease(asked: AskedRelease | undefined): Promise<Evidence["release"]> {
  const question = { query: "verify the release (hauberk verify)", object: asked?.where ?? "no release" };
  return learn(question, async () => {
    if (asked === undefined) throw new Error("no release and trust file are named (--release, --trust)");
    const trust = readTrust(asked.trust);
    const names = asked.names.length > 0 ? asked.names : await namesIn(asked.where);
    const images = await verifyRelease(asked, trust, names);
    const value = releaseOf(asked.where, { images, builder: trust.builder.id, gate: trust.gate?.id ?? "" });
    return { value };
  });
}
