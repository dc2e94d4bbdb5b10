/** h2spec against both listeners: the inbound one in plain text, the outbound one through the pair. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackendPort, type Address, type Pair, type Place } from "../pair/pair.ts";
import type { Case, SuiteResult } from "../report.ts";
import type { Tools } from "../tools.ts";
import { readReport } from "./junit.ts";

/** Cases of a strict run. */
const CASES = 146;
/** Seconds for one case; one that fails takes them all. */
const CASE_S = 5;
const RUN_MS_MAX = 600_000;
/**
 * How often the sections of failed cases are run again. Some cases race the server's answer against their next frame,
 * and lose on a loaded machine; one that fails every time is a failure. The report says which were repeated.
 */
const REPEATS_MAX = 2;

export async function h2spec(pair: Pair, tools: Tools): Promise<SuiteResult> {
  const inbound = await against("inbound", pair.bystander, pair.pod(BackendPort.h2c), tools);
  const outbound = await against("outbound", pair.client, pair.service(BackendPort.h2c), tools);
  return {
    suite: "h2spec",
    usual: () => "passed",
    never: [],
    least: 2 * CASES,
    cases: [...inbound, ...outbound],
  };
}

async function against(listener: string, from: Place, to: Address, tools: Tools): Promise<readonly Case[]> {
  let cases = await run(listener, [], { from, to, tools });
  for (let repeat = 1; repeat <= REPEATS_MAX; repeat += 1) {
    const failed = cases.filter(({ outcome }) => outcome !== "passed");
    const sections = new Set(failed.map(({ name }) => sectionOf(name)));
    if (failed.length === 0) break;
    const again = new Map(
      (await run(listener, [...sections], { from, to, tools })).map((one) => [one.name, one]),
    );
    cases = cases.map((one) =>
      one.outcome !== "passed" && again.get(one.name)?.outcome === "passed"
        ? {
            name: one.name,
            outcome: "passed",
            detail: `after ${repeat} repeats; at first: ${one.detail ?? ""}`,
          }
        : one,
    );
  }
  return cases;
}

interface Where {
  readonly from: Place;
  readonly to: Address;
  readonly tools: Tools;
}

/** One run of h2spec; without sections, of everything. */
async function run(listener: string, sections: readonly string[], where: Where): Promise<readonly Case[]> {
  const { from, to, tools } = where;
  const dir = await mkdtemp(join(tmpdir(), "hauberk-h2spec-"));
  try {
    const file = join(dir, "junit.xml");
    const target = ["-h", to.host, "-p", String(to.port)];
    const args = [...sections, "--strict", ...target, "-o", String(CASE_S), "-j", file];
    const ran = await from.run(tools.h2spec, args, RUN_MS_MAX);
    try {
      return numbered(readReport(await readFile(file, "utf8"), listener));
    } catch (cause) {
      throw new Error(`h2spec wrote no report: ${ran.stderr || ran.stdout || ran.reason}`, { cause });
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** `outbound http2/5.1: closed: …` stands in section `http2/5.1`. */
function sectionOf(name: string): string {
  return /^\S+ (\S+):/.exec(name)?.[1] ?? "";
}

/** h2spec has cases of the same section and sentence; the later ones are told apart by a number. */
function numbered(cases: readonly Case[]): readonly Case[] {
  const seen = new Map<string, number>();
  return cases.map((one) => {
    const count = (seen.get(one.name) ?? 0) + 1;
    seen.set(one.name, count);
    return count === 1 ? one : { ...one, name: `${one.name} (${count})` };
  });
}
