/** Hauberk on a real cluster: what a user types, what applies unchanged, what an operator does, and what must not happen. */
import type { Say } from "@hauberk/cluster/here.ts";
import type { Case, SuiteResult } from "../report.ts";
import { ADMITTING } from "./acts/admitting.ts";
import { DISTURBING } from "./acts/disturbing.ts";
import { INSTALLING } from "./acts/installing.ts";
import { LEAVING } from "./acts/leaving.ts";
import { OPERATING } from "./acts/operating.ts";
import { ROUTING } from "./acts/routing.ts";
import { World } from "./world.ts";

/** The clusters of suites have numbers of their own. */
const NUMBER = 9;

/** One thing that is done to the cluster, and what must hold. Acts build on the ones before them. */
export interface Act {
  readonly name: string;
  /** What was seen. @throws with what was seen instead. */
  readonly play: (world: World) => Promise<string | undefined>;
}

const ACTS: readonly Act[] = [...INSTALLING, ...ROUTING, ...ADMITTING, ...DISTURBING, ...LEAVING];

/** The cluster of what needs three nodes, and a mesh that is installed otherwise. */
const OPERATIONS = { name: "operations", number: 8, nodes: 3, echoNames: [] } as const;

/** What operators do with a mesh of several replicas; each act builds on the ones before it, so `only` ends with the last that it names. */
export async function operations(only: readonly string[], say: Say): Promise<SuiteResult> {
  const last = OPERATING.findLastIndex(
    ({ name }) => only.length === 0 || only.some((word) => name.includes(word)),
  );
  const chosen = OPERATING.slice(0, last + 1);
  const world = await World.start(OPERATIONS, say);
  try {
    const cases: Case[] = [];
    for (const act of chosen) cases.push(await play(act, world, say));
    return { suite: "operations", usual: () => "holds", never: [], least: chosen.length, cases };
  } finally {
    await world.close();
  }
}

/** Plays the acts in order; with `only`, the installation and those whose names have one of its words. */
export async function kubernetes(only: readonly string[], say: Say): Promise<SuiteResult> {
  const chosen = ACTS.filter(
    (act) => INSTALLING.includes(act) || only.length === 0 || only.some((word) => act.name.includes(word)),
  );
  const world = await World.start({ name: "kubernetes", number: NUMBER, nodes: 2, echoNames: [] }, say);
  try {
    await world.applyGatewayApi();
    const cases: Case[] = [];
    for (const act of chosen) cases.push(await play(act, world, say));
    return { suite: "kubernetes", usual: () => "holds", never: [], least: chosen.length, cases };
  } finally {
    await world.close();
  }
}

async function play(act: Act, world: World, say: Say): Promise<Case> {
  const began = performance.now();
  const done = (outcome: string, detail: string | undefined): Case => {
    const seconds = Math.round((performance.now() - began) / 1_000);
    say(
      `  ${outcome === "holds" ? "√" : "×"} ${act.name} (${seconds} s)${detail === undefined ? "" : `: ${detail}`}`,
    );
    return { name: act.name, outcome, ...(detail === undefined ? {} : { detail }) };
  };
  try {
    return done("holds", await act.play(world));
  } catch (error) {
    return done("failed", error instanceof Error ? error.message : String(error));
  }
}
