/** What stock tools say of a release of ours: each of them must accept it, and refuse what is wrong with it. */
import type { Case, SuiteResult } from "../report.ts";
import { CHANNELS } from "./cases/channel.ts";
import { IMAGES } from "./cases/images.ts";
import { RELEASES } from "./cases/releases.ts";
import { installPrograms, type Say } from "./programs.ts";
import { withWorld, type World } from "./world.ts";

/** One question. What comes back says what is wrong; `undefined` if nothing is. */
export interface Question {
  readonly name: string;
  readonly ask: (world: World) => Promise<string | undefined>;
}

const QUESTIONS: readonly Question[] = [...IMAGES, ...CHANNELS, ...RELEASES];

async function answer({ name, ask }: Question, world: World, say: Say): Promise<Case> {
  const done = (detail: string | undefined): Case => {
    say(`  ${detail === undefined ? "√" : "×"} ${name}${detail === undefined ? "" : `: ${detail}`}`);
    return detail === undefined ? { name, outcome: "passed" } : { name, outcome: "failed", detail };
  };
  try {
    return done(await ask(world));
  } catch (error) {
    return done(error instanceof Error ? error.message : String(error));
  }
}

/** Asks them all, or those whose names have one of the words. */
export async function supplyChain(only: readonly string[], say: Say): Promise<SuiteResult> {
  const chosen = QUESTIONS.filter(
    ({ name }) => only.length === 0 || only.some((word) => name.includes(word)),
  );
  await installPrograms(say);
  return withWorld(say, async (world) => {
    const cases: Case[] = [];
    for (const question of chosen) cases.push(await answer(question, world, say));
    return { suite: "supply-chain", usual: () => "passed", never: [], least: chosen.length, cases };
  });
}
