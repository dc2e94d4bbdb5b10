/** The metrics of proxies: of a cluster's, through its API server, or of a standalone mesh's. */
import { CONTROL_PLANE_NS_LABEL, type Pod } from "@hauberk/mesh/model/workload.ts";
import type { Snapshot } from "@hauberk/mesh/state/snapshot.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";

/** Proxies that are asked at once. */
const AT_ONCE = 16;
const ADMIN_PORT = 4191;

/** What one pod's proxy said, or why it said nothing. */
export interface Scrape {
  readonly namespace: string;
  readonly name: string;
  readonly answer:
    | { readonly ok: true; readonly text: string }
    | { readonly ok: false; readonly why: string };
}

/** How one pod's port is asked. */
export type AskPod = (
  pod: { readonly namespace: string; readonly name: string },
  path: string,
) => Promise<string>;

/** Asks through the API server's proxy of pods. */
export function askThrough(client: KubeClient, port: number = ADMIN_PORT): AskPod {
  return async ({ namespace, name }, path) => {
    const at = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(`${name}:${port}`)}/proxy${path}`;
    return (await client.raw(at, { accept: "text/plain" })).body;
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
