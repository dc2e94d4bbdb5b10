/** A cluster's meshed pods, and what can be asked of them through its API server. */
import { request } from "node:http";
import { z } from "zod";
import { identityName } from "@hauberk/mesh/proxy-injector/sidecar.ts";
import { readMesh } from "@hauberk/mesh/proxy-injector/cluster.ts";
import { trustDomainOf } from "@hauberk/mesh/proxy-injector/settings.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { seeCertificate, type ServerCertificate } from "@hauberk/mesh/standalone/handshake.ts";
import { apply, report, type History, type Round } from "@hauberk/viz/history.ts";
import { parseExposition } from "@hauberk/viz/exposition.ts";
import type { Report } from "@hauberk/viz/report.ts";
import { isWanted, sampleOf } from "@hauberk/viz/sample.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { askThrough, type NamedPod } from "../world/scrape.ts";

const ANSWER_MS_MAX = 10_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
/** Pods that are asked at once. */
const AT_ONCE = 16;

const Container = z.looseObject({
  name: z.string(),
  ports: z.array(z.looseObject({ name: z.string().default(""), containerPort: z.number() })).default([]),
  env: z.array(z.looseObject({ name: z.string(), value: z.string().default("") })).default([]),
});
const Pod = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.looseObject({
    serviceAccountName: z.string().default("default"),
    initContainers: z.array(Container).default([]),
    containers: z.array(Container),
  }),
  status: z.looseObject({ phase: z.string().default("") }).prefault({}),
});

/** A pod with a proxy. */
export interface LivePod extends NamedPod {
  readonly workload: string;
  readonly identity: string;
  readonly ports: { readonly inbound: number; readonly admin: number };
  /** Whom its proxy lets tap it; absent: nobody. */
  readonly tap: string | undefined;
}

/** The pods of the mesh that run, of one namespace or of all. */
export async function livePods(
  client: KubeClient,
  { controlPlane, namespace }: { readonly controlPlane: string; readonly namespace?: string | undefined },
): Promise<readonly LivePod[]> {
  const mesh = await readMesh(client, { namespace: controlPlane, createdBy: "" });
  const trust = { trustDomain: trustDomainOf(mesh.settings), controlPlaneNamespace: controlPlane };
  const labelSelector = `linkerd.io/control-plane-ns=${controlPlane}`;
  const found = await client.list({ type: RESOURCES.pods, namespace }, { labelSelector });
  return found.flatMap((object): readonly LivePod[] => {
    const { metadata, spec, status } = Pod.parse(object);
    const proxy = [...spec.initContainers, ...spec.containers].find(({ name }) => name === "linkerd-proxy");
    if (proxy === undefined || status.phase !== "Running" || metadata.deletionTimestamp !== undefined)
      return [];
    const port = (name: string, usual: number): number =>
      proxy.ports.find((one) => one.name === name)?.containerPort ?? usual;
    const owner = Object.entries(metadata.labels).find(([label]) => label.startsWith("linkerd.io/proxy-"));
    return [
      {
        namespace: metadata.namespace,
        name: metadata.name,
        workload: owner?.[1] ?? metadata.name,
        identity: identityName(spec.serviceAccountName, metadata.namespace, trust),
        ports: { inbound: port("linkerd-proxy", 4_143), admin: port("linkerd-admin", 4_191) },
        tap: proxy.env.find(({ name }) => name === "LINKERD2_PROXY_TAP_SVC_NAME")?.value,
      },
    ];
  });
}

/** The certificate that a pod's proxy shows. */
export async function certificateOf(client: KubeClient, pod: LivePod): Promise<ServerCertificate> {
  const { namespace, name, identity, ports } = pod;
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const socket = await client.forward({ namespace, name, port: ports.inbound }, signal);
  try {
    return await seeCertificate({ socket, serverName: identity, timeoutMs: ANSWER_MS_MAX });
  } finally {
    socket.destroy();
  }
}

/** Asks a proxy's admin port from within its pod, where it tells what it tells nobody else. */
export async function askInside(client: KubeClient, pod: LivePod, path: string): Promise<string> {
  const { namespace, name, ports } = pod;
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const socket = await client.forward({ namespace, name, port: ports.admin }, signal);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const asking = request(
    { createConnection: () => socket, host: "localhost", path, signal, headers: { connection: "close" } },
    (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => {
        text += part;
        if (text.length > ANSWER_BYTES_MAX) asking.destroy(new Error("the answer is too large"));
      });
      answer.on("error", reject);
      answer.on("end", () =>
        answer.statusCode === 200
          ? resolve(text)
          : reject(new Error(`${answer.statusCode ?? 0}: ${text.trim()}`)),
      );
    },
  );
  asking.on("error", reject).end();
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

/** `task` of each, so many at once. */
export async function each<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<readonly R[]> {
  const done: R[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE)
    done.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(task))));
  return done;
}

/** What the mesh did in `windowMs` from now: proxies are asked at its beginning and at its end. */
export async function measure(
  client: KubeClient,
  pods: readonly LivePod[],
  windowMs: number,
): Promise<Report> {
  const began = Date.now();
  const first = apply(new Map(), await round(client, pods));
  await sleep(Math.max(0, began + windowMs - Date.now()));
  const both: History = apply(first, await round(client, pods));
  const atMs = Date.now();
  return report(both, { atMs, windowMs: atMs - began });
}

async function round(client: KubeClient, pods: readonly LivePod[]): Promise<Round> {
  const scrapes = await each(pods, async ({ namespace, name, workload, identity, ports }) => {
    const pod = { namespace, pod: name, workload, identity };
    try {
      const text = await askThrough(client, ports.admin)({ namespace, name }, "/metrics");
      return { pod, sample: sampleOf(parseExposition(text, isWanted), Date.now()) };
    } catch {
      // It is told as one that does not answer.
      return { pod, sample: undefined };
    }
  });
  return { atMs: Date.now(), scrapes };
}
