/** The rounds of a benchmark: every scenario with every peer, in an order that is random and can be repeated. */

import { appendFileSync } from "node:fs";
import { loadavg } from "node:os";
import { Takes } from "./peer.ts";
import type { Peer } from "./peer.ts";
import type { Result, ScenarioName } from "./results.ts";
import type { Command } from "./sandbox.ts";
import { measure } from "./scenarios.ts";
import { seeded, shuffled } from "./statistics.ts";
import type { World } from "./world.ts";

const MINUTE_MS = 60_000;

/** One who is measured; without a peer the connections go straight. */
export type Contender = { readonly name: string; readonly peer: Peer | undefined };

/** What is to be done, and what was done before. */
export type Plan = {
  readonly rounds: number;
  readonly minutes?: number | undefined;
  readonly scenarios: readonly ScenarioName[];
  readonly seconds: number;
  readonly seed: number;
  readonly kept: readonly Result[];
  readonly all: readonly Contender[];
  readonly world: World;
  readonly valgrind: Command;
  readonly out: string;
};

/** Runs all rounds, or as many as the time allows; each result is written as soon as it is there. */
export async function rounds(plan: Plan): Promise<void> {
  const began = Date.now();
  let longest = 0;
  for (let round = 0; round < plan.rounds; round += 1) {
    const roundBegan = Date.now();
    if (plan.minutes !== undefined && roundBegan + longest > began + plan.minutes * MINUTE_MS) {
      console.log(`${round} of ${plan.rounds} rounds: another would take longer than there is time`);
      return;
    }
    for (const [index, scenario] of plan.scenarios.entries()) {
      for (const contender of order(plan, round, index)) await once(plan, contender, scenario, round);
    }
    longest = Math.max(longest, Date.now() - roundBegan);
  }
}

/** Follows from the seed and the place alone, so that a run that goes on has the order it would have had. */
function order({ all, seed }: Plan, round: number, scenario: number): readonly Contender[] {
  return shuffled(all, seeded(seed + round * 1_000 + scenario));
}

async function once(
  plan: Plan,
  { name, peer }: Contender,
  scenario: ScenarioName,
  round: number,
): Promise<void> {
  if (!(peer?.scenarios ?? Takes.direct).includes(scenario)) return;
  const isKept = plan.kept.some(
    (one) => one.peer === name && one.scenario === scenario && one.round === round,
  );
  if (isKept) return;
  const base = { peer: name, scenario, round, load: loadavg()[0] ?? 0 };
  const result = await measure(scenario, { ...plan, peer }).then(
    (figures): Result => ({ ...base, figures }),
    (error: unknown): Result => ({ ...base, figures: {}, error: explain(error) }),
  );
  appendFileSync(plan.out, `${JSON.stringify(result)}\n`);
  console.log(brief(result));
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${explain(error.cause)}`;
}

function brief({ peer, scenario, round, figures, error }: Result): string {
  const parts = Object.entries(figures).filter(([name]) => !/ (?:outbound|inbound)$|loaded|p999/.test(name));
  const text =
    error ??
    parts.map(([name, value]) => `${name} ${value >= 100 ? value.toFixed(0) : value.toFixed(2)}`).join(", ");
  return `${round} ${scenario.padEnd(12)} ${peer.padEnd(8)} ${error === undefined ? text : `FAILED ${text}`}`;
}
