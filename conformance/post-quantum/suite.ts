/** Very many handshakes through somebody who takes the post-quantum group out of hellos: none may end with a classical one. */
import type { Case, SuiteResult } from "../report.ts";
import type { TestMesh } from "../mesh/mesh.ts";
import { attempt, counted } from "./attempts.ts";
import { OUTSIDE, PREFERRING, REQUIRING, startWorld } from "./world.ts";

/** Handshakes at once: below what one client may have under way at a proxy. */
const AT_ONCE = 8;

async function attempts(mesh: TestMesh, pod: string, wanted: number): Promise<{ readonly through: number }> {
  const ip = await mesh.ip(pod);
  let [begun, through] = [0, 0];
  const lane = async (): Promise<void> => {
    while (begun < wanted) {
      begun += 1;
      const made = await attempt(mesh, { from: OUTSIDE, ip, way: "stripped" });
      if (made.ok) through += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return { through };
}

async function casesOf(mesh: TestMesh, pod: string, wanted: number): Promise<readonly Case[]> {
  const before = await counted(mesh, pod);
  const { through } = await attempts(mesh, pod, wanted);
  const now = await counted(mesh, pod);
  const classical = now.classical - before.classical;
  const refused = now.refused - before.refused;
  const none: Case = {
    name: `${pod}: no handshake ends with a classical group`,
    outcome: classical === 0 && through === 0 ? "holds" : "failed",
    detail: `${wanted} handshakes, ${through} ended at the client, ${classical} at the proxy`,
  };
  if (pod !== REQUIRING) return [none];
  const all: Case = {
    name: `${pod}: every refusal is counted`,
    outcome: refused === wanted ? "holds" : "failed",
    detail: `${refused} of ${wanted}`,
  };
  return [none, all];
}

/** `wanted` handshakes with a proxy that requires a post-quantum group, and as many with one that prefers it. */
export async function postQuantum(wanted: number): Promise<SuiteResult> {
  const mesh = await startWorld();
  try {
    const cases: Case[] = [];
    for (const pod of [REQUIRING, PREFERRING]) cases.push(...(await casesOf(mesh, pod, wanted)));
    return { suite: "post-quantum", usual: () => "holds", never: [], least: 3, cases };
  } finally {
    await mesh.close();
  }
}
