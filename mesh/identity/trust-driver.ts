/** Carries a rotation out: looks at the world, writes the phase down, then acts. Whoever takes over goes on from there. */
import {
  explainChain,
  readCertificatesPem,
  verifyChain,
  type Certificate,
} from "@hauberk/crypto/certificate.ts";
import { commonNames } from "@hauberk/crypto/names.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { openIssuer } from "./issuer.ts";
import type { RotationRequest, TrustRecord, TrustStatus } from "./trust-record.ts";
import {
  abandon,
  introduce,
  step,
  type Act,
  type LiveProxy,
  type Rotation,
  type RotationTiming,
  type Seen,
} from "./trust-rotation.ts";
import { trustBundle, trusts, type TrustBundle } from "./trust.ts";

/** Pauses between looks: while a rotation is under way, and otherwise. */
export const PAUSES = { busyMs: 1_000, idleMs: 5_000 } as const;

const EXTERNAL_ROOTS = "the trust roots are somebody else's: put the new root into their source";
const EXTERNAL_ISSUER = "the issuer's Secret is somebody else's: ask with --root-file alone";

/** How much of what is waited for is written down. */
const WAITING_MAX = 20;

/** The mesh as its store shows it. */
export interface TrustWorld {
  readonly record: TrustRecord;
  /** What {@link TrustStore.save} is held against. */
  readonly version: string;
  readonly request: RotationRequest | undefined;
  /** What is trusted and who issues, as it is written down. */
  readonly bundle: TrustBundle;
  readonly issuer: Certificate;
  readonly root: Certificate;
  readonly proxies: readonly LiveProxy[];
  /** The bundle is somebody else's: nothing of it is written. */
  readonly hasExternalRoots: boolean;
  /** The issuer is somebody else's: it is waited for, not written. */
  readonly hasExternalIssuer: boolean;
}

/** Where trust is kept: a directory, or a cluster. */
export interface TrustStore {
  readonly read: (signal: AbortSignal) => Promise<TrustWorld>;
  /** Writes the record down unless it has changed since it was read; `false`: it has. */
  readonly save: (record: TrustRecord, version: string, signal: AbortSignal) => Promise<boolean>;
  /** Does what a step asks for; a second time it changes nothing. */
  readonly carryOut: (act: Act, world: TrustWorld, signal: AbortSignal) => Promise<void>;
  /** Puts a request where there is none; `false`: there is one. */
  readonly ask: (request: RotationRequest, signal: AbortSignal) => Promise<boolean>;
}

/** What a driver goes by. */
export interface DriveOptions {
  readonly timing: RotationTiming;
  /** Between two looks. */
  readonly pauses?: { readonly busyMs: number; readonly idleMs: number };
  readonly nowMs: () => number;
  /** A request that is due by the schedule, if one is. */
  readonly due?: (world: TrustWorld, nowMs: number) => RotationRequest | undefined;
  readonly heard?: (event: DriveEvent) => void;
}

/** What happens in a rotation, for logs, events and metrics. */
export type DriveEvent =
  | { readonly type: "phase"; readonly rotation: Rotation; readonly before: Rotation }
  | { readonly type: "act"; readonly act: Act["type"] }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "failed"; readonly error: unknown };

/** Drives until `signal`. An error is told of and tried again: the phase that was written down stays. */
export async function drive(store: TrustStore, options: DriveOptions, signal: AbortSignal): Promise<void> {
  const { pauses = PAUSES } = options;
  while (!signal.aborted) {
    let isBusy = false;
    try {
      isBusy = await turn(store, options, signal);
    } catch (error) {
      if (!signal.aborted) options.heard?.({ type: "failed", error });
    }
    await sleep(isBusy ? pauses.busyMs : pauses.idleMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Looks once. Resolves to whether a rotation is under way. */
export async function turn(store: TrustStore, options: DriveOptions, signal: AbortSignal): Promise<boolean> {
  const { timing, heard } = options;
  const nowMs = options.nowMs();
  const world = await store.read(signal);
  const { record, request } = world;
  const begun = begin(world);
  if (begun.refused !== undefined) {
    heard?.({ type: "refused", reason: begun.refused });
    const status = { ...statusOf(world, [], nowMs), refused: begun.refused };
    if (await store.save({ ...record, last: request?.id, status }, world.version, signal)) {
      await store.carryOut({ type: "forget_next" }, world, signal);
    }
    return false;
  }
  const before = record.rotation;
  const { rotation, act, waiting } =
    begun.rotation === before
      ? step(before, seenIn(world), timing, nowMs)
      : { rotation: begun.rotation, act: undefined, waiting: [] };
  const last = rotation.phase === "steady" ? record.last : rotation.plan.id;
  // What was refused is told until another rotation begins.
  const refused = rotation.phase === "steady" ? record.status?.refused : undefined;
  const status = statusOf(world, waiting, nowMs, refused);
  const isChanged = rotation !== before || !isSame(status, record.status);
  if (isChanged && !(await store.save({ rotation, last, status }, world.version, signal))) return true;
  if (rotation !== before) heard?.({ type: "phase", rotation, before });
  if (act !== undefined) {
    await store.carryOut(act, world, signal);
    heard?.({ type: "act", act: act.type });
  }
  if (rotation.phase !== "steady" || rotation !== before) return true;
  const isOurs = !world.hasExternalRoots && !world.hasExternalIssuer;
  const due = request === undefined && isOurs ? options.due?.(world, nowMs) : undefined;
  return due !== undefined && (await store.ask(due, signal));
}

/** The rotation with what the request changes in it; `refused`: the request makes no sense here. */
function begin(world: TrustWorld): { readonly rotation: Rotation; readonly refused?: string } {
  const { record, request, bundle } = world;
  const { rotation } = record;
  if (request === undefined) return { rotation };
  if (rotation.phase !== "steady") {
    return { rotation: request.abandon ? (abandon(rotation) ?? rotation) : rotation };
  }
  if (request.id === record.last) return { rotation };
  if (world.hasExternalRoots) return { rotation, refused: EXTERNAL_ROOTS };
  if (world.hasExternalIssuer && request.issuer !== undefined) return { rotation, refused: EXTERNAL_ISSUER };
  const root = rootOf(request);
  if (typeof root === "string") return { rotation, refused: root };
  if (trusts(bundle, root.fingerprint) && root.fingerprint === world.root.fingerprint) {
    return { rotation, refused: "the new root is the one that issues now" };
  }
  const { id, by, startedMs } = request;
  const plan = { id, by, startedMs, from: world.root.fingerprint, to: root.fingerprint };
  return { rotation: introduce(plan) };
}

/** The root of a request whose issuer, if it has one, leads to it; else why not. */
function rootOf({ root, issuer }: RotationRequest): Certificate | string {
  try {
    const [first, ...others] = readCertificatesPem(root);
    if (first === undefined || others.length > 0) return "the request holds not exactly one root";
    if (issuer === undefined) return first;
    const verdict = openIssuer({ ...issuer, anchors: root }, Date.now());
    return verdict.ok ? first : "the request's issuer does not lead to its root";
  } catch (error) {
    return `the request's root cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function seenIn({ bundle, issuer, root, request, proxies }: TrustWorld): Seen {
  const next = request === undefined ? undefined : rootOf(request);
  return {
    bundle,
    issuer: { fingerprint: issuer.fingerprint, root: root.fingerprint },
    next:
      next === undefined || typeof next === "string"
        ? undefined
        : { root: next, hasIssuer: request?.issuer !== undefined },
    proxies,
  };
}

function statusOf(
  { bundle, issuer, root, proxies }: TrustWorld,
  waiting: readonly string[],
  nowMs: number,
  refused?: string,
): TrustStatus {
  return {
    atMs: nowMs,
    bundle: bundle.digest,
    roots: bundle.anchors.map((anchor) => ({
      fingerprint: anchor.fingerprint,
      name: commonNames(anchor.subject)[0] ?? "",
      notAfterMs: anchor.notAfterMs,
    })),
    issuer: { fingerprint: issuer.fingerprint, root: root.fingerprint, notAfterMs: issuer.notAfterMs },
    proxies: proxies.length,
    proven: proxies.filter(({ proven }) => proven?.bundle === bundle.digest).length,
    waiting: waiting.slice(0, WAITING_MAX),
    waitingCount: waiting.length,
    ...(refused === undefined ? {} : { refused }),
  };
}

/** But for the time. */
function isSame(a: TrustStatus, b: TrustStatus | undefined): boolean {
  return b !== undefined && JSON.stringify({ ...a, atMs: 0 }) === JSON.stringify({ ...b, atMs: 0 });
}

/** The bundle of a PEM text. */
export function bundleOf(pem: string): TrustBundle {
  return trustBundle(readCertificatesPem(pem));
}

/** The issuer of a PEM chain, and the root of the bundle that it leads to. Throws if it leads to none. */
export function issuerOf(
  chain: string,
  bundle: TrustBundle,
): { readonly issuer: Certificate; readonly root: Certificate } {
  const [issuer, ...intermediates] = readCertificatesPem(chain);
  if (issuer === undefined) throw new Error("the issuer's chain holds no certificate");
  const verdict = verifyChain({ leaf: issuer, intermediates, anchors: bundle.anchors }, Date.now());
  if (!verdict.ok)
    throw new Error(`the issuer leads to no root of the bundle: ${explainChain(verdict.refusal)}`);
  return { issuer, root: verdict.anchor };
}
