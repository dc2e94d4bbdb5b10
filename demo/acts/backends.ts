import { success } from "../promise.ts";
import type { Stage } from "../stage.ts";

const HURT_MS = 5_000;
const MEASURE_MS = 7_000;
const RECOVER_MS_MAX = 20_000;
const PAGE = "/checkout";

/** One of three backends dies, then another stands still. Idempotent requests must not notice. */
export async function backends(stage: Stage): Promise<void> {
  const [first, second] = await stage.pods("prod", "payments-stable");
  if (first === undefined || second === undefined) throw new Error("payments-stable has no two pods");
  stage.screen.say(`\nBackend ${first.name} is killed, its proxy with it.`);
  await stage.client.act(first, { act: "kill", downMs: HURT_MS });
  const killed = await stage.measure(MEASURE_MS, PAGE);
  stage.promise("one backend killed under load", killed.failed === 0 && killed.ok > 0, measured(killed));
  const back = await stage.until(async () => (await stage.client.status()).settled, RECOVER_MS_MAX);
  stage.promise("it comes back", back, back ? "ready again" : `not ready after ${RECOVER_MS_MAX / 1_000} s`);
  stage.screen.say(
    `\nBackend ${second.name} is frozen, its proxy with it: sockets stay open, nothing answers.`,
  );
  await stage.client.act(second, { act: "freeze" });
  const frozen = await stage.measure(MEASURE_MS, PAGE);
  await stage.client.act(second, { act: "thaw" });
  stage.promise("one backend frozen under load", frozen.failed === 0 && frozen.ok > 0, measured(frozen));
  await stage.until(async () => (await stage.client.status()).settled, RECOVER_MS_MAX);
}

function measured(load: Parameters<typeof success>[0] & { readonly slowestMs: number }): string {
  return `${success(load)}, slowest ${load.slowestMs} ms`;
}
