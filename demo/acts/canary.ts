import { success } from "../promise.ts";
import type { Seen } from "../load-log.ts";
import type { Stage } from "../stage.ts";

/** A change of a manifest is obeyed everywhere long before this, unless the machine has no processor to spare. */
const OBEY_MS_MAX = 15_000;
/** So many requests show whether a change has been obeyed. */
const GLANCE_MS = 1_000;
const MEASURE_MS = 7_000;
/** Three standard deviations of a fair split, with the some 400 requests of a measurement. */
const TOLERANCE = 0.06;
const PAGE = "/checkout";

function share({ versions }: Seen, version: string): number {
  const all = [...versions.values()].reduce((sum, count) => sum + count, 0);
  return all === 0 ? Number.NaN : (versions.get(version) ?? 0) / all;
}

/** S0-09 and S0-10: the object as it stands in the requirements, edited live, deleted. */
export async function canary(stage: Stage): Promise<void> {
  stage.screen.say("\nThe canary HTTPRoute is applied: 90/10. Then 50/50. Then it is deleted.");
  await stage.apply("canary.yaml");
  await expectShare(stage, "HTTPRoute payments-canary splits 90/10", { wanted: 0.1, tolerance: TOLERANCE });
  await stage.apply("canary.yaml", (text) =>
    text.replace("weight: 90", "weight: 50").replace("weight: 10", "weight: 50"),
  );
  await expectShare(stage, "its weights edited live split 50/50", { wanted: 0.5, tolerance: 2 * TOLERANCE });
  await stage.remove("canary.yaml");
  await expectShare(stage, "its deletion rolls back to the parent Service", { wanted: 0, tolerance: 0 });
}

async function expectShare(
  stage: Stage,
  promise: string,
  { wanted, tolerance }: { readonly wanted: number; readonly tolerance: number },
): Promise<void> {
  const fromMs = Date.now();
  const isNear = wanted === 0 ? (got: number) => got === 0 : (got: number) => got > wanted / 2;
  await stage.until(async () => {
    const toMs = Date.now();
    return isNear(share(await stage.seen({ fromMs: toMs - GLANCE_MS, toMs }, PAGE), "canary"));
  }, OBEY_MS_MAX);
  const obeyedMs = Date.now() - fromMs;
  const load = await stage.measure(MEASURE_MS, PAGE);
  const got = share(load, "canary");
  const passed = Math.abs(got - wanted) <= tolerance && load.failed === 0;
  stage.promise(
    promise,
    passed,
    `canary ${(got * 100).toFixed(1)}% (seen after ${(obeyedMs / 1_000).toFixed(1)} s), ${success(load)}`,
  );
}
