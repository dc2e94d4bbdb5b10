/** Trust in one process: the bundle pushed beside the policies, and rotations driven where the process keeps the issuer. */
import type { Methods } from "../api/methods.ts";
import type { Issuer } from "../identity/issuer.ts";
import { trustDirectory } from "../identity/trust-directory.ts";
import { drive, type DriveEvent } from "../identity/trust-driver.ts";
import { trustMethods, type Reported, type TrustGauges, type TrustInForce } from "../identity/trust-grpc.ts";
import type { LiveProxy } from "../identity/trust-rotation.ts";
import { dueAtMs, newRootRequest } from "../identity/trust-schedule.ts";
import { trustBundle } from "../identity/trust.ts";
import { keyOf } from "../model/meta.ts";
import type { MeshSettings } from "../model/settings.ts";
import { isMeshed } from "../model/workload.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import type { IdentityConfig } from "./config.ts";
import type { FollowedIssuer } from "./identity.ts";
import type { Log } from "./log.ts";

/** What trust is started with. */
export interface TrustParts {
  readonly snapshots: Latest<Snapshot>;
  readonly settings: MeshSettings;
  readonly config: IdentityConfig;
  readonly issuer: FollowedIssuer;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What trust tells of itself. */
export interface TrustRole {
  readonly gauges: TrustGauges;
  readonly inForce: Latest<TrustInForce>;
  /** Ends when the signal aborts. */
  readonly done: Promise<void>;
}

/** Adds the trust service to `methods`, and drives rotations if the configuration says so. */
export function startTrust(methods: Methods, parts: TrustParts): TrustRole {
  const { snapshots, settings, config, issuer, log, signal } = parts;
  const inForce = new Latest(inForceOf(issuer.inForce.value));
  issuer.inForce.listen((next) => inForce.set(inForceOf(next)));
  const gauges = trustMethods(methods, {
    inForce,
    snapshots,
    domain: settings,
    nowMs: Date.now,
    spreadMs: config.spreadMs,
    refused: (workload, reason) => log("warn", "trust report refused", { workload, reason }),
  });
  const { schedule, leafLifeMs, spreadMs } = config;
  if (schedule === undefined) return { gauges, inForce, done: Promise.resolve() };
  const proxies = () => liveProxies(snapshots.value, settings, gauges.reports());
  const store = trustDirectory(issuer.files.paths, { proxies, written: issuer.reload });
  const done = drive(
    store,
    {
      timing: { leafLifeMs, spreadMs },
      nowMs: Date.now,
      due: (world, nowMs) => {
        const atMs = dueAtMs(schedule, world.issuer, world.root);
        return atMs !== undefined && atMs <= nowMs ? newRootRequest(settings, "schedule", nowMs) : undefined;
      },
      heard: driveLog(log),
    },
    signal,
  );
  return { gauges, inForce, done };
}

function inForceOf({ anchors, authority }: Issuer): TrustInForce {
  return { bundle: trustBundle(anchors), issuer: authority.certificate.fingerprint };
}

/** The proxies of pods that run: a pod without an address runs none yet, and starts with what is written down then. */
function liveProxies(
  snapshot: Snapshot,
  { controlPlaneNamespace }: MeshSettings,
  reports: readonly Reported[],
): readonly LiveProxy[] {
  const byUid = new Map(reports.map((report) => [report.uid, report]));
  return [...snapshot.Pod.values()]
    .filter((pod) => isMeshed(pod, controlPlaneNamespace) && !pod.isFinished && pod.ips.length > 0)
    .map(({ meta }) => ({ name: keyOf(meta), proven: byUid.get(meta.uid), startedWith: undefined }));
}

/** Tells of rotations; a failure that repeats is told once. */
export function driveLog(log: Log): (event: DriveEvent) => void {
  let failing = "";
  return (event) => {
    switch (event.type) {
      case "phase": {
        failing = "";
        const { rotation, before } = event;
        const plan = rotation.phase === "steady" ? undefined : rotation.plan;
        log("info", "trust rotation", { phase: rotation.phase, before: before.phase, by: plan?.by });
        return;
      }
      case "act":
        log("info", "trust rotation", { act: event.act });
        return;
      case "refused":
        log("error", "trust rotation refused", { reason: event.reason });
        return;
      case "failed": {
        const reason = event.error instanceof Error ? event.error.message : String(event.error);
        if (reason !== failing) log("error", "trust rotation is interrupted", { reason });
        failing = reason;
      }
    }
  };
}
