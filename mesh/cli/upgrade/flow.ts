/**
 * An upgrade from a channel: nothing is written before everything is verified, and what goes wrong afterwards is taken back.
 * What it does to the world comes in as functions.
 */
import { digest } from "@hauberk/crypto/digest.ts";
import type { Act } from "@hauberk/release/audit/record.ts";
import { ChannelError, type Offer } from "@hauberk/release/channel/follow.ts";
import { describePlan, newestOf, plan, type Installed, type Plan } from "@hauberk/release/channel/plan.ts";
import { descriptionOf, type ChannelName } from "@hauberk/release/channel/roles.ts";
import { compare } from "semver";
import { CLI_ARCHIVE } from "./handover.ts";
import { writeDescription, type List, type Release } from "@hauberk/release/channel/release.ts";

/** What an operator asked for. */
export interface Wanted {
  readonly channel: ChannelName;
  /** A version, or the newest. */
  readonly to: string | undefined;
  readonly isRollback: boolean;
  readonly isDryRun: boolean;
}

/** The world of an upgrade. */
export interface World<A> {
  readonly cliVersion: string;
  /** Why parts of a release are refused, empty if they are not. */
  verify(release: Release, trust: string, names: readonly string[]): Promise<readonly string[]>;
  /** Lets the release's own command line go on; its exit code, or `undefined` where there is none that could. */
  handOver(release: Release): Promise<number | undefined>;
  follow(wanted: (list: List) => readonly string[]): Promise<Offer>;
  installed(): Promise<Installed>;
  /** Whether the operator agrees to the plan. */
  agree(plan: string): Promise<boolean>;
  apply(release: Release, plan: Plan): Promise<A>;
  /** What is not well after the upgrade, empty if all is. */
  check(): Promise<readonly string[]>;
  takeBack(applied: A): Promise<readonly string[]>;
  record(act: Act): Promise<void>;
  say(line: string): void;
}

/** How it ended. */
export type Ended =
  | { readonly kind: "upgraded" | "current" | "declined" | "dry-run" }
  /** The release's own command line went on, and ended with this code. */
  | { readonly kind: "handed-over"; readonly code: number }
  | { readonly kind: "refused"; readonly refusal: string; readonly detail: string }
  | { readonly kind: "rolled-back"; readonly reason: string };

/** Something failed while objects were applied; it has been said what to take back. */
export class PartlyApplied<A> extends Error {
  override readonly name = "PartlyApplied";
  readonly applied: A;
  constructor(message: string, applied: A, options?: ErrorOptions) {
    super(message, options);
    this.applied = applied;
  }
}

async function refuse<A>(
  world: World<A>,
  versions: { readonly from: string; readonly to: string },
  { refusal, detail }: { readonly refusal: string; readonly detail: string },
): Promise<Ended> {
  await world.record({ kind: "refused", ...versions, refusal, detail });
  return { kind: "refused", refusal, detail };
}

/** What the channel offers, and what of it is asked for. */
interface Chosen {
  readonly offer: Offer;
  readonly release: Release | undefined;
  /** What is installed, with what the channel says of that version. */
  readonly installed: Installed;
}

/**
 * The release that is asked for. What lies between it and the installed one counts, too: vulnerabilities that were ended on the
 * way are ended.
 */
async function choose<A>(world: World<A>, wanted: Wanted, installed: Installed): Promise<Chosen> {
  const from = installed.version;
  let version: string | undefined;
  const offer = await world.follow(({ releases }) => {
    const versions = releases.map((one) => one.version);
    const target = wanted.to ?? newestOf(versions);
    version = target;
    return versions.filter((one) => one === from || (target !== undefined && isBetween(one, from, target)));
  });
  const release = offer.releases.get(version ?? "");
  const conformance = offer.releases.get(from)?.conformance ?? {};
  if (release === undefined) return { offer, release, installed };
  const passed = [...offer.releases.values()].filter((one) => isBetween(one.version, from, release.version));
  const fixes = passed.flatMap((one) => one.fixes);
  return { offer, release: { ...release, fixes }, installed: { ...installed, conformance } };
}

function isBetween(version: string, from: string, to: string): boolean {
  return version === to || (compare(version, from) > 0 && compare(version, to) < 0);
}

async function carryOut<A>(world: World<A>, release: Release, agreed: Plan): Promise<string | undefined> {
  let applied: A;
  try {
    applied = await world.apply(release, agreed);
  } catch (error) {
    if (!(error instanceof PartlyApplied)) return error instanceof Error ? error.message : String(error);
    const left = await world.takeBack(error.applied);
    for (const line of left) world.say(`not taken back: ${line}`);
    return error.message;
  }
  const wrong = await world.check();
  if (wrong.length === 0) return undefined;
  for (const line of await world.takeBack(applied)) world.say(`not taken back: ${line}`);
  return wrong.join("; ");
}

const archivesOf = ({ artifacts }: Release) => Object.keys(artifacts).filter((name) => name === CLI_ARCHIVE);

/**
 * What a release's manifests are, its own command line knows: this program only proves that one, and lets it go on. It is the one
 * that plans, asks, applies and records.
 */
async function handOver<A>(
  world: World<A>,
  versions: { readonly from: string; readonly to: string },
  release: Release,
): Promise<Ended> {
  const code = await world.handOver(release);
  if (code !== undefined) return { kind: "handed-over", code };
  const detail = `this program is ${world.cliVersion}, and only that of ${release.version} renders it; the release holds none that can be run here`;
  return refuse(world, versions, { refusal: "cli-version", detail });
}

/** Runs it. Refusals of the channel are refusals of the upgrade. */
export async function upgrade<A>(world: World<A>, wanted: Wanted): Promise<Ended> {
  const running = await world.installed();
  const from = running.version;
  const to = wanted.to ?? "the newest";
  let chosen: Chosen;
  try {
    chosen = await choose(world, wanted, running);
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    return refuse(world, { from, to }, { refusal: error.refusal, detail: error.message });
  }
  const { offer, release, installed } = chosen;
  if (release === undefined) {
    const detail = `${wanted.channel} does not offer ${to}`;
    return refuse(world, { from, to }, { refusal: "no-release", detail });
  }
  const versions = { from, to: release.version };
  const planned = plan(installed, release, { isRollback: wanted.isRollback });
  if (planned.kind === "current") return { kind: "current" };
  if (planned.kind === "refused") return refuse(world, versions, planned);
  const isOurs = release.version === world.cliVersion;
  const needed = [...Object.keys(release.images), ...(isOurs ? [] : archivesOf(release))];
  const unproven = await world.verify(release, offer.trust, needed);
  if (unproven.length > 0)
    return refuse(world, versions, { refusal: "evidence-refused", detail: unproven.join("; ") });
  if (!isOurs) return handOver(world, versions, release);
  const text = describePlan(planned.plan);
  world.say(text);
  if (wanted.isDryRun) return { kind: "dry-run" };
  if (!(await world.agree(text))) return { kind: "declined" };
  const failure = await carryOut(world, release, planned.plan);
  if (failure !== undefined) {
    await world.record({ kind: "rollback", from: release.version, to: from, reason: failure });
    return { kind: "rolled-back", reason: failure };
  }
  await world.record({
    kind: "upgrade",
    ...versions,
    channel: `${wanted.channel} (${descriptionOf(wanted.channel, release.version)})`,
    release: digest(writeDescription(offer.releases.get(release.version) ?? release)),
    plan: digest(Buffer.from(text)),
    images: release.images,
  });
  return { kind: "upgraded" };
}
