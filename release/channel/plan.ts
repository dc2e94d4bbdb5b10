/** What going from one release to another would change, or why it is refused. Pure. */
import { compare, diff, gt, lt, prerelease } from "semver";
import { z } from "zod";
import { Release } from "./release.ts";

/** What a cluster runs now. */
export const Installed = z.strictObject({
  version: z.string(),
  /** Digest of each image that runs, as far as it is known. */
  images: z.record(z.string(), z.string()),
  /** Custom resource definitions in the cluster, and the versions in which objects of theirs are stored. */
  crds: z.array(z.strictObject({ name: z.string(), storedVersions: z.array(z.string()) })),
  /** The oldest proxy that is connected. */
  oldestProxy: z.string().optional(),
  /** Conformance of the release that runs, as its channel described it. */
  conformance: Release.shape.conformance,
});
export type Installed = z.infer<typeof Installed>;

/** Why an upgrade is refused. The names are stable. */
export type PlanRefusal = "downgrade" | "skew-control-plane" | "skew-proxy";

/** An object's stored version that has to be written anew before its definition may change. */
export interface Migration {
  readonly crd: string;
  readonly from: readonly string[];
  readonly to: string;
}

export interface Plan {
  readonly from: string;
  readonly to: string;
  readonly images: readonly {
    readonly name: string;
    readonly before: string | undefined;
    readonly after: string;
  }[];
  readonly migrations: readonly Migration[];
  readonly newCrds: readonly string[];
  /** Vulnerabilities that are ended by it. */
  readonly fixes: Release["fixes"];
  /** Suites whose outcome is not what it was. */
  readonly conformance: readonly {
    readonly suite: string;
    readonly before: string;
    readonly after: string;
  }[];
  /** What an operator should know though it hinders nothing. */
  readonly notes: readonly string[];
}

export type Planned =
  | { readonly kind: "plan"; readonly plan: Plan }
  | { readonly kind: "current"; readonly version: string }
  | { readonly kind: "refused"; readonly refusal: PlanRefusal; readonly detail: string };

/** A proxy speaks with a control plane that is at most this many minor versions newer. */
const PROXY_SKEW_MINORS = 2;

const refuse = (refusal: PlanRefusal, detail: string): Planned => ({ kind: "refused", refusal, detail });

/** The newest release of a list that is no pre-release, unless all are. */
export function newestOf(versions: readonly string[]): string | undefined {
  const sorted = versions.toSorted(compare);
  return sorted.findLast((version) => prerelease(version) === null) ?? sorted.at(-1);
}

function minorOf(version: string): number {
  return Number(version.split(".")[1] ?? 0);
}

const score = (outcome: { readonly asRequired: number; readonly cases: number } | undefined) =>
  outcome === undefined ? "not run" : `${outcome.asRequired} of ${outcome.cases}`;

function conformanceChanges(
  before: Release["conformance"],
  after: Release["conformance"],
): Plan["conformance"] {
  const suites = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return suites
    .map((suite) => ({ suite, before: score(before[suite]), after: score(after[suite]) }))
    .filter((one) => one.before !== one.after);
}

function skewOf(installed: Installed, to: Release): Planned | undefined {
  if (lt(installed.version, to.upgradeFrom)) {
    const detail = `${to.version} can be reached from ${to.upgradeFrom} or newer; this cluster runs ${installed.version}`;
    return refuse("skew-control-plane", detail);
  }
  const { oldestProxy } = installed;
  if (oldestProxy === undefined) return undefined;
  const isFar =
    oldestProxy.split(".")[0] !== to.version.split(".")[0] ||
    minorOf(to.version) - minorOf(oldestProxy) > PROXY_SKEW_MINORS;
  if (!isFar) return undefined;
  const detail = `a proxy of ${oldestProxy} is connected, and ${to.version} speaks with proxies at most ${PROXY_SKEW_MINORS} minor versions older; restart its workload first`;
  return refuse("skew-proxy", detail);
}

/** Images that a cluster runs; the command line's is for pipelines. */
const runsIn = ({ images }: Release) => Object.entries(images).filter(([name]) => name !== "cli");

/** The plan to go to `to`, or the reason why not. `isRollback` allows an older version. */
export function plan(installed: Installed, to: Release, { isRollback = false } = {}): Planned {
  if (to.version === installed.version) {
    const isSame = runsIn(to).every(([name, digest]) => installed.images[name] === digest);
    if (isSame) return { kind: "current", version: to.version };
  }
  if (gt(installed.version, to.version) && !isRollback)
    return refuse(
      "downgrade",
      `${to.version} is older than ${installed.version}, which runs; --rollback says that this is meant`,
    );
  const skew = isRollback ? undefined : skewOf(installed, to);
  if (skew !== undefined) return skew;
  const gone = installed.crds.filter(({ name }) => to.crds.every((crd) => crd.name !== name));
  const notes = gone.map(({ name }) => `${name} is not part of ${to.version} and is left as it is`);
  const jump = diff(installed.version, to.version);
  if (jump === "major" || jump === "premajor") notes.push("the major version changes: read its changelog");
  return {
    kind: "plan",
    plan: {
      from: installed.version,
      to: to.version,
      images: runsIn(to)
        .map(([name, after]) => ({ name, before: installed.images[name], after }))
        .filter(({ before, after }) => before !== after),
      migrations: to.crds.flatMap(({ name, storageVersion }): readonly Migration[] => {
        const stored = installed.crds.find((crd) => crd.name === name)?.storedVersions ?? [];
        const from = stored.filter((version) => version !== storageVersion);
        return from.length === 0 ? [] : [{ crd: name, from, to: storageVersion }];
      }),
      newCrds: to.crds
        .map(({ name }) => name)
        .filter((name) => installed.crds.every((crd) => crd.name !== name)),
      fixes: to.fixes,
      conformance: conformanceChanges(installed.conformance, to.conformance),
      notes,
    },
  };
}

const short = (digest: string | undefined) => digest?.slice(0, "sha256:".length + 12) ?? "unknown";

/** A plan as people read it. */
export function describePlan(plan: Plan): string {
  const lines = [`${plan.from} → ${plan.to}`, ""];
  const part = (title: string, items: readonly string[]) => {
    if (items.length > 0) lines.push(title, ...items.map((item) => `  ${item}`), "");
  };
  part(
    "images",
    plan.images.map(({ name, before, after }) => `${name.padEnd(12)} ${short(before)} → ${short(after)}`),
  );
  part("new kinds", plan.newCrds);
  part(
    "objects to be written anew",
    plan.migrations.map(({ crd, from, to }) => `${crd}: ${from.join(", ")} → ${to}`),
  );
  part(
    "vulnerabilities ended",
    plan.fixes.map(({ id, component }) => `${id} in ${component}`),
  );
  part(
    "conformance that differs",
    plan.conformance.map(({ suite, before, after }) => `${suite.padEnd(16)} ${before} → ${after}`),
  );
  part("notes", plan.notes);
  return `${lines.join("\n").trimEnd()}\n`;
}
