/** The metrics of proxies: of a cluster's, through its API server, or of a standalone mesh's. */
import { keyOf, type Meta } from "@hauberk/mesh/model/meta.ts";
import { CONTROL_PLANE_NS_LABEL, type Pod } from "@hauberk/mesh/model/workload.ts";
import type { InboundContext } from "@hauberk/mesh/policy/authz.ts";
import { portsAt, workloadOf, type Destination } from "@hauberk/mesh/policy/question.ts";
import type { Snapshot } from "@hauberk/mesh/state/snapshot.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";

/** Proxies that are asked at once. */
const AT_ONCE = 16;
const ADMIN_PORT = 4191;
const INBOUND_PORT = 4143;
const HANDSHAKE_MS_MAX = 10_000;

/** What one pod's proxy said, or why it said nothing. */
export interface Scrape {
  readonly namespace: string;
  readonly name: string;
  readonly answer:
    | { readonly ok: true; readonly text: string }
    | { readonly ok: false; readonly why: string };
}

/** A pod by its name. */
export interface NamedPod {
  readonly namespace: string;
  readonly name: string;
}

/** How one pod's port is asked. */
export type AskPod = (pod: NamedPod, path: string) => Promise<string>;

/** Asks through the API server's proxy of pods. */
export function askThrough(client: KubeClient, port: number = ADMIN_PORT): AskPod {
  return async ({ namespace, name }, path) => {
    const at = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(`${name}:${port}`)}/proxy${path}`;
    return (await client.raw(at, { accept: "text/plain" })).body;
  };
}

/** Sees the certificates of proxies through the API server. */
export function certificatesThrough(client: KubeClient): (pod: NamedPod) => Promise<readonly string[]> {
  return async (pod) => {
    const { seeCertificate } = await import("@hauberk/mesh/standalone/handshake.ts");
    const signal = AbortSignal.timeout(HANDSHAKE_MS_MAX);
    const socket = await client.forward({ ...pod, port: INBOUND_PORT }, signal);
    try {
      return (await seeCertificate({ socket, serverName: pod.name, timeoutMs: HANDSHAKE_MS_MAX })).chain;
    } finally {
      socket.destroy();
    }
  };
}

/** Pods that carry a proxy and run. */
export function meshedPods(snapshot: Snapshot, namespace: string | undefined): readonly Pod[] {
  return [...snapshot.Pod.values()].filter(
    ({ meta, isFinished }) =>
      !isFinished &&
      meta.labels[CONTROL_PLANE_NS_LABEL] !== undefined &&
      (namespace === undefined || meta.namespace === namespace),
  );
}

/** The pods with a proxy that a workload, Service or Server stands for. */
export function podsOf(to: Destination, world: InboundContext): readonly Meta[] {
  const ports = portsAt({ ...to, port: undefined }, world);
  const named = new Set(ports.map(({ workload }) => keyOf(workload)));
  const own = to.kind === "Pod" || to.kind === "Workload" ? to.name : undefined;
  return meshedPods(world.snapshot, to.namespace)
    .filter((pod) => named.has(keyOf(pod.meta)) || workloadOf(pod).name === own || pod.meta.name === own)
    .map(({ meta }) => meta);
}

/** The admin ports of the control plane's pods. */
export function controllerPorts(
  snapshot: Snapshot,
  namespace: string,
): readonly { readonly pod: Meta; readonly port: number }[] {
  return [...snapshot.Pod.values()]
    .filter(
      ({ meta, isFinished }) =>
        !isFinished &&
        meta.namespace === namespace &&
        meta.labels["linkerd.io/control-plane-component"] !== undefined,
    )
    .flatMap(({ meta, ports }) =>
      ports
        .filter(({ name, port }) => name.endsWith("-admin") && port !== ADMIN_PORT)
        .map(({ port }) => ({ pod: meta, port })),
    );
}

/** The answers one after the other, each under a comment that says whose it is. */
export function renderScrapes(answers: readonly Scrape[]): string {
  return answers
    .map(({ namespace, name, answer }) => {
      const head = `#\n# POD ${namespace}/${name}\n#`;
      return answer.ok ? `${head}\n${answer.text.trimEnd()}` : `${head}\n# ${answer.why}`;
    })
    .join("\n");
}

/** Asks every pod; one that does not answer is told and does not stop the rest. */
export async function scrape(
  pods: readonly { readonly namespace: string; readonly name: string }[],
  ask: AskPod,
  path: string = "/metrics",
): Promise<readonly Scrape[]> {
  const answers: Scrape[] = [];
  for (let at = 0; at < pods.length; at += AT_ONCE) {
    const some = pods.slice(at, at + AT_ONCE).map(async ({ namespace, name }): Promise<Scrape> => {
      try {
        return { namespace, name, answer: { ok: true, text: await ask({ namespace, name }, path) } };
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        return { namespace, name, answer: { ok: false, why } };
      }
    });
    answers.push(...(await Promise.all(some)));
  }
  return answers;
}
