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
const CASE_S = 2;
const RUN_MS_MAX = 420_000;

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

async function against(
  listener: string,
  from: Place,
  { host, port }: Address,
  tools: Tools,
): Promise<readonly Case[]> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-h2spec-"));
  try {
    const file = join(dir, "junit.xml");
    const args = ["--strict", "-h", host, "-p", String(port), "-o", String(CASE_S), "-j", file];
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

/** h2spec has cases of the same section and sentence; the later ones are told apart by a number. */
function numbered(cases: readonly Case[]): readonly Case[] {
  const seen = new Map<string, number>();
  return cases.map((one) => {
    const count = (seen.get(one.name) ?? 0) + 1;
    seen.set(one.name, count);
    return count === 1 ? one : { ...one, name: `${one.name} (${count})` };
  });
}
