/**
 * Replacing the mesh's root without an interruption, as a state machine. The new root is trusted by every live proxy
 * before anything is issued below it, and the old one goes when nothing issued below it is left. Pure.
 *
 * A step looks at the world as it is, and either moves to another phase or asks for one act, never both: the phase is
 * written down before its act is carried out, so that whoever comes after an interruption asks for the same act again.
 */
import type { Certificate } from "@hauberk/crypto/certificate.ts";
import { trustBundle, trusts, type TrustBundle } from "./trust.ts";

/** What a rotation is to do. */
export interface RotationPlan {
  readonly id: string;
  /** Who asked for it: a user, or `schedule`. */
  readonly by: string;
  readonly startedMs: number;
  /** Fingerprint of the root that issues now, and goes. */
  readonly from: string;
  /** Fingerprint of the root that comes. */
  readonly to: string;
}

/** Where a mesh is in replacing its root. */
export type Rotation =
  | { readonly phase: "steady" }
  /** Both roots are to be trusted; what is issued is below the old one. `writtenMs`: since when both are in the bundle. */
  | { readonly phase: "introducing"; readonly plan: RotationPlan; readonly writtenMs: number | undefined }
  /** Both roots are trusted everywhere; what is issued is to be below the new one. `switchedMs`: since when it is. */
  | { readonly phase: "reissuing"; readonly plan: RotationPlan; readonly switchedMs: number | undefined }
  /** Nothing below the old root is left, and the root goes. */
  | { readonly phase: "retiring"; readonly plan: RotationPlan }
  /** Nothing was issued below the new root, and it goes again. */
  | { readonly phase: "abandoning"; readonly plan: RotationPlan };

/** A proxy that lives now. */
export interface LiveProxy {
  /** Its workload, as it is shown. */
  readonly name: string;
  /** What it proved last; `undefined`: it proved nothing, as a proxy that knows nothing of pushed bundles. */
  readonly proven: { readonly bundle: string; readonly issuer: string; readonly atMs: number } | undefined;
  /** Digest of the bundle that it was started with, where that is known. */
  readonly startedWith: string | undefined;
}

/** The world as it is. */
export interface Seen {
  /** What is trusted: as it is written down for proxies that start, and pushed to those that run. */
  readonly bundle: TrustBundle;
  /** What leaves are issued by, and the root that it leads to. */
  readonly issuer: { readonly fingerprint: string; readonly root: string };
  /** The root that comes, with the issuer below it if we have it; others bring their own issuer. */
  readonly next: { readonly root: Certificate; readonly hasIssuer: boolean } | undefined;
  readonly proxies: readonly LiveProxy[];
}

/** What is to be done now. Each may be done twice. */
export type Act =
  | { readonly type: "write_bundle"; readonly bundle: TrustBundle }
  | { readonly type: "switch_issuer" }
  | { readonly type: "forget_next" };

/** What a step comes to. */
export interface Step {
  readonly rotation: Rotation;
  readonly act: Act | undefined;
  /** What the rotation waits for, in words. */
  readonly waiting: readonly string[];
}

/** Times that a rotation holds to. */
export interface RotationTiming {
  /**
   * How long what is written down may take to reach whoever reads it: a kubelet that starts a container, a replica that
   * issues certificates or pushes bundles. What a proxy proved before that may have been undone since.
   */
  readonly spreadMs: number;
  /** The longest that a leaf may live: a proxy that proves nothing has a new one after so long. */
  readonly leafLifeMs: number;
}

/** A minute: twice what a kubelet or a watch takes. */
export const SPREAD_MS = 60_000;

/** Begins a rotation. */
export function introduce(plan: RotationPlan): Rotation {
  return { phase: "introducing", plan, writtenMs: undefined };
}

/** Looks at the world once. */
export function step(rotation: Rotation, seen: Seen, timing: RotationTiming, nowMs: number): Step {
  switch (rotation.phase) {
    case "steady":
      return seen.next === undefined ? stay(rotation) : act(rotation, { type: "forget_next" });
    case "introducing":
      return introducing(rotation, seen, timing, nowMs);
    case "reissuing":
      return reissuing(rotation, seen, timing, nowMs);
    case "retiring":
      return dropping(rotation, rotation.plan.from, seen);
    case "abandoning":
      return dropping(rotation, rotation.plan.to, seen);
  }
}

/** Goes back to the old root; only while nothing can have been issued below the new one. */
export function abandon(rotation: Rotation): Rotation | undefined {
  return rotation.phase === "introducing" ? { phase: "abandoning", plan: rotation.plan } : undefined;
}

type Introducing = Extract<Rotation, { readonly phase: "introducing" }>;
type Reissuing = Extract<Rotation, { readonly phase: "reissuing" }>;
type Dropping = Extract<Rotation, { readonly phase: "retiring" | "abandoning" }>;

function introducing(rotation: Introducing, seen: Seen, timing: RotationTiming, nowMs: number): Step {
  const { plan, writtenMs } = rotation;
  if (!trusts(seen.bundle, plan.to)) return addRoot(rotation, seen);
  if (writtenMs === undefined) return stay({ ...rotation, writtenMs: nowMs });
  const waiting = [
    ...spreading(writtenMs, timing, nowMs, "the new root to reach what starts now"),
    ...unproven(
      seen.proxies,
      "trust the new root",
      (proxy) =>
        trustsBundle(proxy, seen.bundle) && (proxy.proven?.atMs ?? nowMs) >= writtenMs + timing.spreadMs,
    ),
  ];
  if (waiting.length > 0) return { rotation, act: undefined, waiting };
  return stay({ phase: "reissuing", plan, switchedMs: undefined });
}

function reissuing(rotation: Reissuing, seen: Seen, timing: RotationTiming, nowMs: number): Step {
  const { plan, switchedMs } = rotation;
  // Somebody took it away again: nothing may be issued below a root that is not trusted.
  if (!trusts(seen.bundle, plan.to)) return addRoot(rotation, seen);
  if (seen.issuer.root !== plan.to) {
    if (seen.next?.hasIssuer === true) return act(rotation, { type: "switch_issuer" });
    return { rotation, act: undefined, waiting: ["an issuer below the new root"] };
  }
  if (switchedMs === undefined) return stay({ ...rotation, switchedMs: nowMs });
  const isOver = nowMs >= switchedMs + timing.leafLifeMs + timing.spreadMs;
  const waiting = [
    ...spreading(switchedMs, timing, nowMs, "the new issuer to be used everywhere"),
    ...unproven(seen.proxies, "have a certificate below the new root", ({ proven }) =>
      proven === undefined
        ? isOver
        : proven.issuer === seen.issuer.fingerprint && proven.atMs >= switchedMs + timing.spreadMs,
    ),
  ];
  if (waiting.length > 0) return { rotation, act: undefined, waiting };
  return stay({ phase: "retiring", plan });
}

/** A proxy that proves nothing keeps the root until it is started anew; nothing is issued below it any more. */
function dropping(rotation: Dropping, root: string, seen: Seen): Step {
  if (trusts(seen.bundle, root)) {
    const bundle = trustBundle(seen.bundle.anchors.filter(({ fingerprint }) => fingerprint !== root));
    return act(rotation, { type: "write_bundle", bundle });
  }
  const waiting = unproven(
    seen.proxies,
    "no longer trust the root that goes",
    (proxy) => proxy.proven === undefined || trustsBundle(proxy, seen.bundle),
  );
  return waiting.length > 0 ? { rotation, act: undefined, waiting } : stay({ phase: "steady" });
}

function addRoot(rotation: Rotation, seen: Seen): Step {
  const { next } = seen;
  if (next === undefined) return { rotation, act: undefined, waiting: ["the new root, which is gone"] };
  return act(rotation, {
    type: "write_bundle",
    bundle: trustBundle([...seen.bundle.anchors, next.root]),
  });
}

function trustsBundle({ proven, startedWith }: LiveProxy, bundle: TrustBundle): boolean {
  return (proven?.bundle ?? startedWith) === bundle.digest;
}

function spreading(sinceMs: number, { spreadMs }: RotationTiming, nowMs: number, what: string): string[] {
  return nowMs < sinceMs + spreadMs ? [what] : [];
}

function unproven(
  proxies: readonly LiveProxy[],
  what: string,
  holds: (proxy: LiveProxy) => boolean,
): string[] {
  return proxies
    .filter((proxy) => !holds(proxy))
    .map(({ name, proven }) =>
      proven === undefined
        ? `${name} to prove that it is to ${what}, or to be restarted`
        : `${name} to ${what}`,
    );
}

function stay(rotation: Rotation): Step {
  return { rotation, act: undefined, waiting: [] };
}

function act(rotation: Rotation, asked: Act): Step {
  return { rotation, act: asked, waiting: [] };
}
