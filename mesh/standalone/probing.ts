import { setTimeout as sleep } from "node:timers/promises";
import { beginHealth, dueProbes, onProbe } from "./health.ts";
import type { Health, ProbeName } from "./health.ts";
import type { Container, Probe } from "./workload.ts";

/** A container that is not ready yet is asked more often than its period, so that a mesh starts in no time. */
const EAGER_PERIOD_MS = 200;

/** Asks once. */
export type Ask = (probe: Probe) => Promise<boolean>;

/**
 * Probes one run of a container until `signal` aborts. `onHealth` is called with every change, first at once.
 */
export async function watchHealth(
  container: Container,
  options: { readonly ask: Ask; readonly onHealth: (health: Health) => void; readonly signal: AbortSignal },
): Promise<void> {
  const { ask, onHealth, signal } = options;
  let health = beginHealth(container);
  onHealth(health);
  const follow = async (name: ProbeName, probe: Probe): Promise<void> => {
    await pause(probe.initialDelayMs, signal);
    let countedMs = 0;
    while (!signal.aborted && health.live) {
      if (dueProbes(container, health).includes(name)) {
        const ok = await ask(probe);
        if (signal.aborted) return;
        // A failure before its time does not count against a threshold.
        const nowMs = performance.now();
        const counts = ok || nowMs - countedMs >= probe.periodMs;
        if (counts) {
          countedMs = nowMs;
          const next = onProbe(container, health, { probe: name, ok });
          const changed = next.ready !== health.ready || next.live !== health.live;
          health = next;
          if (changed) onHealth(health);
        }
      }
      const eager = name !== "liveness" && !health.ready;
      await pause(eager ? Math.min(EAGER_PERIOD_MS, probe.periodMs) : probe.periodMs, signal);
    }
  };
  await Promise.all(
    (["startup", "readiness", "liveness"] as const).map(async (name) => {
      const probe = container[name];
      if (probe !== undefined) await follow(name, probe);
    }),
  );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // An abort ends the pause; the loop sees it.
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
