/** Servers among each other and the pods that they select. Pure. */
import { isDeepStrictEqual } from "node:util";
import { keyOf, type Meta } from "../model/meta.ts";
import type { Server } from "../model/policy.ts";
import { selects, type Selector } from "../model/selector.ts";
import type { ContainerPort } from "../model/workload.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { error, warning, type Finding } from "./finding.ts";

const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

function isLabelKey(key: string): boolean {
  const [name = "", prefix, ...rest] = key.split("/").toReversed();
  return NAME.test(name) && (prefix === undefined || PREFIX.test(prefix)) && rest.length === 0;
}

function isLabelValue(value: string): boolean {
  return value === "" || NAME.test(value);
}

/** Keys and values that no object can have: nothing is ever selected by them. */
export function selectorFindings(selector: Selector, path: readonly PropertyKey[]): readonly Finding[] {
  const labels = Object.entries(selector.matchLabels).flatMap(([key, value]) => {
    const where = [...path, "matchLabels", key];
    if (!isLabelKey(key)) return [error(where, `${JSON.stringify(key)} is no label`)];
    if (!isLabelValue(value)) return [error(where, `${JSON.stringify(value)} is no value of a label`)];
    return [];
  });
  const expressions = selector.matchExpressions.flatMap(({ key, ...rest }, at) => {
    const where = [...path, "matchExpressions", at];
    const values = "values" in rest ? rest.values : [];
    const bad = values.find((value) => !isLabelValue(value));
    if (!isLabelKey(key)) return [error([...where, "key"], `${JSON.stringify(key)} is no label`)];
    if (bad === undefined) return [];
    return [error([...where, "values"], `${JSON.stringify(bad)} is no value of a label`)];
  });
  return [...labels, ...expressions];
}

function selectsAll({ matchLabels, matchExpressions }: Selector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
}

/** A workload of today, and the port that a Server holds there. */
interface Held {
  readonly meta: Meta;
  readonly ports: readonly ContainerPort[];
  readonly port: number;
}

/** The workloads that a Server selects, with its port. */
function heldBy(server: Server, snapshot: Snapshot): readonly Held[] {
  const candidates = server.of === "Pod" ? snapshot.Pod.values() : snapshot.ExternalWorkload.values();
  const held: Held[] = [];
  for (const { meta, ports } of candidates) {
    if (meta.namespace !== server.meta.namespace || !selects(server.selector, meta.labels)) continue;
    const port = portOf(server, ports);
    if (port !== undefined) held.push({ meta, ports, port });
  }
  return held;
}

/** Whether one of them is another Server's, too. Names it. */
function sharedWorkload(held: readonly Held[], other: Server): string | undefined {
  const shared = held.find(
    ({ meta, ports, port }) => selects(other.selector, meta.labels) && portOf(other, ports) === port,
  );
  return shared && `${other.of} ${keyOf(shared.meta)} port ${shared.port}`;
}

/** The number that a Server's port has at a workload. */
function portOf({ port }: Server, ports: readonly ContainerPort[]): number | undefined {
  return typeof port === "number" ? port : ports.find(({ name }) => name === port)?.port;
}

/** What two Servers both hold, if they do: by what they say, or by a workload that is there. */
function overlap(server: Server, other: Server, held: readonly Held[]): string | undefined {
  if (server.of !== other.of) return undefined;
  const isSamePort = server.port === other.port;
  const isSaid =
    isDeepStrictEqual(server.selector, other.selector) ||
    selectsAll(server.selector) ||
    selectsAll(other.selector);
  if (isSamePort && isSaid) return `port ${server.port} of the same workloads`;
  return sharedWorkload(held, other);
}

/** A port of a workload belongs to one Server: with two, which of them decides would be a matter of age. */
export function serverFindings(server: Server, snapshot: Snapshot): readonly Finding[] {
  const selector = server.of === "Pod" ? "podSelector" : "externalWorkloadSelector";
  const others = [...snapshot.Server.values()].filter(
    ({ meta }) => meta.namespace === server.meta.namespace && meta.name !== server.meta.name,
  );
  const held = others.length === 0 ? [] : heldBy(server, snapshot);
  const overlaps = others.flatMap((other) => {
    const what = overlap(server, other, held);
    if (what === undefined) return [];
    const words = `Server ${keyOf(other.meta)} already selects ${what}`;
    return [error(["spec", selector], words)];
  });
  return [...selectorFindings(server.selector, ["spec", selector]), ...overlaps.slice(0, 1)];
}

/** Rules that speak of a Server which is not there. */
export function serverMissing(
  name: string,
  { namespace, path, snapshot }: { namespace: string; path: readonly PropertyKey[]; snapshot: Snapshot },
): readonly Finding[] {
  if (snapshot.Server.has(keyOf({ namespace, name }))) return [];
  return [warning(path, `Server ${namespace}/${name} does not exist yet; until then this has no effect`)];
}
