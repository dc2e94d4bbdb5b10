import type { Container, Probe } from "./workload.ts";

/** The three probes of a container. */
export type ProbeName = "startup" | "readiness" | "liveness";

interface Streak {
  readonly successes: number;
  readonly failures: number;
}
const NONE: Streak = { successes: 0, failures: 0 };

/**
 * What the probes of a running container say. `live` turns false once, when the container has to be restarted;
 * its successor begins anew.
 */
export interface Health {
  readonly started: boolean;
  readonly ready: boolean;
  readonly live: boolean;
  readonly streaks: Readonly<Record<ProbeName, Streak>>;
}

/** A container that has just been started: without a probe, the answer is yes at once. */
export function beginHealth(container: Pick<Container, ProbeName>): Health {
  const started = container.startup === undefined;
  return {
    started,
    ready: started && container.readiness === undefined,
    live: true,
    streaks: { startup: NONE, readiness: NONE, liveness: NONE },
  };
}

/** Probes that are due while `health` holds: the others wait for the startup probe. */
export function dueProbes(container: Pick<Container, ProbeName>, health: Health): readonly ProbeName[] {
  const names: readonly ProbeName[] = health.started ? ["readiness", "liveness"] : ["startup"];
  return names.filter((name) => container[name] !== undefined);
}

/** Takes one answer in (Kubernetes API, Probe v1: thresholds count answers in a row). */
export function onProbe(
  container: Pick<Container, ProbeName>,
  health: Health,
  answer: { readonly probe: ProbeName; readonly ok: boolean },
): Health {
  const probe: Probe | undefined = container[answer.probe];
  if (probe === undefined) return health;
  const before = health.streaks[answer.probe];
  const streak = answer.ok
    ? { successes: before.successes + 1, failures: 0 }
    : { successes: 0, failures: before.failures + 1 };
  const next = { ...health, streaks: { ...health.streaks, [answer.probe]: streak } };
  const passed = streak.successes >= probe.successThreshold;
  const failed = streak.failures >= probe.failureThreshold;
  switch (answer.probe) {
    case "startup":
      if (passed) return { ...next, started: true, ready: container.readiness === undefined };
      return failed ? { ...next, live: false } : next;
    case "readiness":
      if (passed) return { ...next, ready: true };
      return failed ? { ...next, ready: false } : next;
    case "liveness":
      return failed ? { ...next, live: false } : next;
  }
}

/** First and longest pause before a container that ended is started again. */
const BACKOFF_MS = { first: 500, max: 30_000 } as const;
/** A container that ran this long starts anew with the first pause. */
export const BACKOFF_RESET_MS = 60_000;

/** The pause before restart number `restarts` (from 1) in a row. */
export function backoffMs(restarts: number): number {
  return Math.min(BACKOFF_MS.max, BACKOFF_MS.first * 2 ** Math.max(0, restarts - 1));
}
