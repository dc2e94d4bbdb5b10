/** What policy judged is what the backend sees, in every way in which backends read it (G4). */
import { Chance } from "../differential/chance.ts";
import type { Case, SuiteResult } from "../report.ts";
import { Backend, type Judged, Policy } from "./judge.ts";
import { KNOWN, nextPair, type Pair } from "./pairs.ts";
import { verdicts, type Seen } from "./readings.ts";

const BATCH = 500;
const SHARE = 10_000;
const TOLD_MAX = 5;

/** Ways of reading that do not agree with policy on whether the rule covers the request. */
export function bypasses(pair: Pair, isMatched: boolean, seen: Seen): readonly string[] {
  return Object.entries(verdicts(pair.rule, seen)).flatMap(([reading, covered]) =>
    covered === isMatched ? [] : [reading],
  );
}

/** The known bypasses, and `count` generated pairs with seeds from `seed` on. */
export async function policyView(count: number, seed: number): Promise<SuiteResult> {
  const policy = await Policy.start();
  const backend = new Backend();
  try {
    const known = await policy.judge(KNOWN);
    const cases: Case[] = [];
    for (const [index, pair] of KNOWN.entries()) {
      const problem = await look(pair, known[index], backend);
      cases.push({
        name: pair.name,
        outcome: problem === undefined ? "agreed" : "bypassed",
        ...detail(problem),
      });
    }
    for (let done = 0; done < count; done += SHARE)
      cases.push(
        await share(policy, backend, { seed: seed + done / SHARE, count: Math.min(SHARE, count - done) }),
      );
    const least = KNOWN.length + Math.ceil(count / SHARE);
    return { suite: "policy-view", usual: () => "agreed", never: ["bypassed"], least, cases };
  } finally {
    policy.close();
  }
}

function detail(problem: string | undefined): { detail?: string } {
  return problem === undefined ? {} : { detail: problem };
}

async function look(pair: Pair, judged: Judged | undefined, backend: Backend): Promise<string | undefined> {
  if (judged === undefined) throw new Error("policy answered too little");
  if (judged.type === "refused") return undefined;
  const seen = await backend.see(judged.message);
  if (seen === undefined) return undefined;
  const found = bypasses(pair, judged.isMatched, seen);
  if (found.length === 0) return undefined;
  return `${JSON.stringify(pair)}: policy says ${String(judged.isMatched)}, not so ${found.join(", ")} of ${JSON.stringify(seen)}`;
}

async function share(
  policy: Policy,
  backend: Backend,
  { seed, count }: { readonly seed: number; readonly count: number },
): Promise<Case> {
  const chance = new Chance(seed);
  const told: string[] = [];
  let [bypassed, judgedCount, matched] = [0, 0, 0];
  for (let done = 0; done < count; done += BATCH) {
    const pairs = Array.from({ length: Math.min(BATCH, count - done) }, () => nextPair(chance));
    const answers = await policy.judge(pairs);
    for (const [index, pair] of pairs.entries()) {
      const judged = answers[index];
      if (judged?.type === "judged") {
        judgedCount += 1;
        if (judged.isMatched) matched += 1;
      }
      const problem = await look(pair, judged, backend);
      if (problem === undefined) continue;
      bypassed += 1;
      if (told.length < TOLD_MAX) told.push(problem);
    }
  }
  const shown = `${count} pairs, ${judgedCount} judged, ${matched} matched, ${bypassed} bypassed`;
  const isVain = matched === 0 || matched === judgedCount;
  return {
    name: `seed ${seed}`,
    outcome: bypassed > 0 ? "bypassed" : isVain ? "looked at nothing" : "agreed",
    detail: [shown, ...told].join("\n      "),
  };
}
