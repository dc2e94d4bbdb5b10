/** A user's values over the defaults, checked: files, `--set`, and what a mode brings. */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { explain as explainRefusal, refusals } from "@hauberk/fips-profile/narrow.ts";
import { nearest } from "./nearest.ts";
import { aboutOf } from "./leaf.ts";
import { Values } from "./schema.ts";

/** Values in the form of a file: maps, lists and scalars. */
export type Tree = { readonly [key: string]: unknown };

/** A value that is wrong: says which and, where one is near, what was probably meant. */
export class ValuesError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ValuesError";
  }
}

/** Every value of a schema at its default. */
export function defaultsOf(schema: z.ZodObject): Tree {
  return Object.fromEntries(
    Object.entries(schema.shape).map(([name, child]) => {
      const about = aboutOf(child);
      if (about !== undefined) return [name, about.fallback];
      if (child instanceof z.ZodObject) return [name, defaultsOf(child)];
      throw new Error(`${name} has neither a default nor parts`);
    }),
  );
}

/** Every value of the control plane at its default. */
export const DEFAULTS: Tree = defaultsOf(Values);

/** What `--ha` sets: as Linkerd's values-ha.yaml does, and webhooks that fail closed. */
export const HIGH_AVAILABILITY: Tree = {
  controllerReplicas: 3,
  enablePodAntiAffinity: true,
  enablePodDisruptionBudget: true,
  webhookFailurePolicy: "Fail",
  deploymentStrategy: { rollingUpdate: { maxUnavailable: 1, maxSurge: "25%" } },
  proxy: { resources: { cpu: { request: "100m" }, memory: { request: "20Mi", limit: "250Mi" } } },
  destinationResources: {
    cpu: { request: "100m" },
    memory: { request: "150Mi", limit: "500Mi" },
  },
  identityResources: { cpu: { request: "100m" } },
  proxyInjectorResources: { cpu: { request: "100m" } },
};

/**
 * What `--strict` sets: nobody is let in whom no policy names, probes come from the own node only, and an object that
 * no webhook has judged is refused. Without TLS nobody can be named, so plaintext ends at the default, too.
 */
export const STRICT: Tree = {
  proxy: { defaultInboundPolicy: "deny" },
  policyController: { probeNetworks: [] },
  webhookFailurePolicy: "Fail",
};

/** What `--fips` sets. What it narrows beside that is for `fips-profile` to say. */
export const FIPS: Tree = { fips: { enabled: true } };

export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Lays `over` over `under` as Helm does: maps are merged, everything else is replaced, `null` takes away. */
export function mergeTrees(under: Tree, over: Tree): Tree {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key];
    if (value === null) delete merged[key];
    else merged[key] = isTree(value) && isTree(before) ? mergeTrees(before, value) : value;
  }
  return merged;
}

/**
 * What of a tree can be set today, and the paths of the rest: for values that an older installation wrote, which must
 * not keep its successor from starting.
 */
export function keepKnown(tree: Tree): { readonly known: Tree; readonly dropped: readonly string[] } {
  const parsed = Values.safeParse(mergeTrees(DEFAULTS, tree));
  if (parsed.success) return { known: tree, dropped: [] };
  const dropped: string[][] = parsed.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path.map(String), key]) : [],
  );
  return {
    known: dropped.reduce((kept: Tree, path) => without(kept, path), tree),
    dropped: dropped.map((path) => path.join(".")),
  };
}

function without(tree: Tree, [key = "", ...below]: readonly string[]): Tree {
  const { [key]: child, ...others } = tree;
  return below.length > 0 && isTree(child) ? { ...others, [key]: without(child, below) } : others;
}

/** Checks values of the control plane, over the defaults. */
export function parseValues(...layers: readonly Tree[]): Values {
  const values = parseWith(Values, ...layers);
  const problems = [...unmeant(values), ...(values.fips.enabled ? refusals(values).map(explainRefusal) : [])];
  if (problems.length > 0) throw new ValuesError(problems);
  return values;
}

/** Checks values by a schema, over its defaults. */
export function parseWith<S extends z.ZodObject>(schema: S, ...layers: readonly Tree[]): z.output<S> {
  const defaults = defaultsOf(schema);
  const parsed = schema.safeParse(mergeTrees(defaults, layers.reduce(mergeTrees, {})));
  if (parsed.success) return parsed.data;
  const paths = pathsOf(defaults, []);
  throw new ValuesError(parsed.error.issues.flatMap((issue) => explain(issue, paths)));
}

function explain(issue: z.core.$ZodIssue, paths: readonly string[]): readonly string[] {
  const path = issue.path.map(String);
  if (issue.code !== "unrecognized_keys") return [`${path.join(".")}: ${issue.message}`];
  return issue.keys.map((key) => {
    const written = [...path, key].join(".");
    const close = nearest(written, paths);
    return `there is no value ${written}${close === undefined ? "" : `: did you mean ${close}?`}`;
  });
}

/** Values of Linkerd's that have one possible setting here: another one must not seem to work. */
function unmeant(values: Values): readonly string[] {
  const problems: string[] = [];
  const only = (path: string, holds: boolean, why: string): void => {
    if (!holds) problems.push(`${path}: ${why}`);
  };
  only("enablePprof", !values.enablePprof, "there is no profiler in the control plane");
  only("enableEndpointSlices", values.enableEndpointSlices, "endpoints are known by EndpointSlices only");
  only("disableHeartBeat", values.disableHeartBeat, "there is no heartbeat: nothing here calls home");
  only(
    "identity.serviceAccountTokenProjection",
    values.identity.serviceAccountTokenProjection,
    "pods prove themselves by tokens with an audience of the mesh's own",
  );
  only(
    "networkValidator.enableSecurityContext",
    values.networkValidator.enableSecurityContext,
    "has to be true",
  );
  for (const name of ["proxyInjector", "profileValidator", "policyValidator"] as const) {
    const { externalSecret, crtPEM, keyPEM, caBundle, injectCaFrom, injectCaFromSecret } = values[name];
    const isOurs =
      !externalSecret && `${crtPEM}${keyPEM}${caBundle}${injectCaFrom}${injectCaFromSecret}` === "";
    only(
      name,
      isOurs,
      "the control plane makes and rotates the webhook's certificate at run time; leave it out",
    );
  }
  return problems;
}

/** Values of Linkerd's that are read and have no effect here, at whatever they are set to. */
const WITHOUT_EFFECT = [
  "enableH2Upgrade",
  "heartbeatSchedule",
  "prometheusUrl",
  "policyController.logLevel",
  "proxy.inbound",
  "proxy.outbound",
  "proxy.requireTLSOnInboundPorts",
  "proxyInit.iptablesMode",
  "proxyInit.logLevel",
  "proxyInit.logFormat",
  "egress.globalEgressNetworkNamespace",
] as const;

/** Which values were set to something that nobody acts on: worth a warning, no reason to refuse a user's file. */
export function withoutEffect(values: Tree): readonly string[] {
  return WITHOUT_EFFECT.filter((path) => {
    const keys = path.split(".");
    return !isDeepStrictEqual(at(values, keys), at(DEFAULTS, keys));
  });
}

function at(tree: unknown, [key, ...below]: readonly string[]): unknown {
  if (key === undefined) return tree;
  return isTree(tree) ? at(tree[key], below) : undefined;
}

/** The path of every value and of every group of values. */
function pathsOf(tree: Tree, above: readonly string[]): readonly string[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = [...above, key];
    return isTree(value) ? [path.join("."), ...pathsOf(value, path)] : [path.join(".")];
  });
}
