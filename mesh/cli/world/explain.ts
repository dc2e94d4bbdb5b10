/** Answers as sentences: the verdict, and the objects on the way to it. Pure. */
import { keyOf } from "@hauberk/mesh/model/meta.ts";
import { describeVerdict } from "@hauberk/mesh/policy/edges.ts";
import type { Answer } from "@hauberk/mesh/policy/question.ts";
import { describeGround, type Verdict } from "@hauberk/mesh/policy/verdict.ts";

const REASONS: Readonly<Record<(Verdict & { type: "denied" })["reason"], string>> = {
  unauthorized: "no authorization lets this client in",
  "route-not-found": "no route of the Server matches the request",
  "ambiguous-path": "servers could read the path in two ways",
  "not-http": "the port takes requests only",
};

function lines({ of, workload, port, server, verdict }: Answer): readonly string[] {
  const route = verdict.route === undefined ? [] : [`  route: ${describeGround(verdict.route)}`];
  const refused = verdict.unmet.map(
    ({ by, of: level, why }) => `    ${describeGround(by)} of the ${level}: ${why}`,
  );
  return [
    `${of} ${keyOf(workload)} port ${port}: ${describeVerdict(verdict)}`,
    `  server: ${describeGround(server)}`,
    ...route,
    ...(verdict.type === "denied" ? [`  why: ${REASONS[verdict.reason]}`] : []),
    ...(refused.length === 0 ? [] : ["  did not let it in:", ...refused]),
  ];
}

/** One block for each workload; those that say the same are told once. */
export function explainAnswers(answers: readonly Answer[]): string {
  const blocks = Map.groupBy(answers, ({ server, verdict, port }) => JSON.stringify([server, verdict, port]));
  return [...blocks.values()]
    .map((alike) => {
      const [first, ...others] = alike;
      if (first === undefined) return "";
      const more = others.length === 0 ? [] : [`  and ${others.length} more workloads alike`];
      return [...lines(first), ...more].join("\n");
    })
    .join("\n");
}
