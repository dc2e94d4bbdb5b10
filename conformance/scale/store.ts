// An API server's lists and watches over a cluster that is not there. Told to, it replaces endpoints at a steady rate:
// a pod comes, the slice changes, the old pod goes. It reports when it wrote each change.
//
//   fork("store.ts", ['{"dir":"...","services":1000,"changed":1000}'])
import { readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { z } from "zod";
import { changedIp, namespaces, places, pod, service, slice, type Place } from "./objects.ts";

const Order = z.strictObject({
  /** Holds `server.crt` and `server.key`. */
  dir: z.string(),
  services: z.number().int().positive(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));
const Wish = z.strictObject({
  /** Changes a second, and for how long. */
  rate: z.number().positive(),
  seconds: z.number().positive(),
  /** Changes go to the first so many services. */
  among: z.number().int().positive(),
  /** Number of the first change. */
  first: z.number().int(),
});

const KINDS = [
  { group: "", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" },
  { group: "", plural: "namespaces", kind: "Namespace", scope: "Cluster" },
  { group: "", plural: "nodes", kind: "Node", scope: "Cluster" },
  { group: "", plural: "pods", kind: "Pod", scope: "Namespaced" },
  { group: "", plural: "services", kind: "Service", scope: "Namespaced" },
  { group: "discovery.k8s.io", plural: "endpointslices", kind: "EndpointSlice", scope: "Namespaced" },
] as const;
type Plural = (typeof KINDS)[number]["plural"];

const endpoints = Array.from({ length: order.services }, (_, index) => [...places(index)]);
const watchers = new Map<Plural, Set<ServerResponse>>(KINDS.map(({ plural }) => [plural, new Set()]));
let version = 1;

function* all(plural: Plural): Generator<object> {
  if (plural === "namespaces") yield* namespaces();
  for (let index = 0; index < order.services; index += 1) {
    const here = endpoints[index] ?? [];
    if (plural === "services") yield service(index);
    if (plural === "endpointslices") yield slice(index, here);
    if (plural === "pods") for (const place of here) yield pod(index, place);
  }
}

function line(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}

async function watch(plural: Plural, response: ServerResponse, isWhole: boolean): Promise<void> {
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  if (isWhole) {
    let pending = "";
    for (const object of all(plural)) {
      pending += line("ADDED", object);
      if (pending.length < 64 * 1024) continue;
      if (!response.write(pending)) await new Promise((resolve) => response.once("drain", resolve));
      pending = "";
    }
    const annotations = { "k8s.io/initial-events-end": "true" };
    response.write(
      pending + line("BOOKMARK", { metadata: { resourceVersion: String(version), annotations } }),
    );
  }
  watchers.get(plural)?.add(response);
  response.on("close", () => watchers.get(plural)?.delete(response));
}

function tell(plural: Plural, type: string, object: object): void {
  version += 1;
  const { metadata } = z.object({ metadata: z.looseObject({}) }).parse(object);
  const text = line(type, { ...object, metadata: { ...metadata, resourceVersion: String(version) } });
  for (const response of watchers.get(plural) ?? []) response.write(text);
}

function change(index: number, number: number): void {
  const here = endpoints[index] ?? [];
  const next: Place = { pod: `svc-${index}-c${number}`, ip: changedIp(number) };
  const before = here.shift();
  here.push(next);
  tell("pods", "ADDED", pod(index, next));
  tell("endpointslices", "MODIFIED", slice(index, here));
  if (before !== undefined) tell("pods", "DELETED", pod(index, before));
}

function discovery(isCore: boolean): string {
  const groups = Map.groupBy(
    KINDS.filter(({ group }) => (group === "") === isCore),
    ({ group }) => group,
  );
  const items = [...groups].map(([name, kinds]) => ({
    metadata: { name },
    versions: [
      {
        version: "v1",
        resources: kinds.map(({ plural, kind, scope }) => ({
          resource: plural,
          responseKind: { kind },
          scope,
          verbs: ["list", "watch"],
        })),
      },
    ],
  }));
  return JSON.stringify({ kind: "APIGroupDiscoveryList", items });
}

const server = createServer(
  { cert: readFileSync(join(order.dir, "server.crt")), key: readFileSync(join(order.dir, "server.key")) },
  (request, response) => {
    const url = new URL(request.url ?? "", "https://store");
    if (url.pathname === "/api" || url.pathname === "/apis") {
      response.end(discovery(url.pathname === "/api"));
      return;
    }
    const found = KINDS.find(({ plural }) => url.pathname.endsWith(`/${plural}`));
    if (found === undefined || url.searchParams.get("watch") !== "true") {
      response.writeHead(404, { "content-type": "application/json" });
      response.end(JSON.stringify({ kind: "Status", code: 404, reason: "NotFound", message: "not here" }));
      return;
    }
    void watch(found.plural, response, url.searchParams.get("sendInitialEvents") === "true");
  },
);

process.on("message", (message) => {
  const { rate, seconds, among, first } = Wish.parse(message);
  const written: (readonly [number, number])[] = [];
  const total = Math.round(rate * seconds);
  const beganMs = performance.now();
  const tick = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - beganMs) / 1_000) * rate));
    while (written.length < due) {
      const number = first + written.length;
      // A stride that meets every service before it meets one again.
      change((number * 7_919) % among, number);
      written.push([number, performance.timeOrigin + performance.now()]);
    }
    if (written.length < total) return;
    clearInterval(tick);
    process.send?.({ written });
  }, 2);
});
process.once("disconnect", () => process.exit(0));
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") process.send?.({ port: address.port });
});
