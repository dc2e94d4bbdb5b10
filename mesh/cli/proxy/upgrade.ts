/** Changes the image of running proxies, one pod after another; what does not come back is put back as it was. */
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { MeshedPod, hasTurned, otherRestarts, patchOf, restartsOf, type Step, type Wanted } from "./plan.ts";

/** Between two looks at a pod. */
const LOOK_MS = 500;
/** How long a pod is asked to stay ready before the next one's turn: the others have learnt of it by then. */
const SETTLE_MS = 2_000;

export interface UpgradeOptions {
  readonly wanted: Wanted;
  /** Of one pod: drain of the old proxy, start of the new one. */
  readonly timeoutMs: number;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A pod that did not come back; its proxy has its old image again. */
export class UpgradeError extends Error {
  override readonly name = "UpgradeError";
}

/** Carries out one step. @throws {UpgradeError} when the pod is not ready in time; nothing after it should be done. */
export async function upgradeProxy(client: KubeClient, step: Step, options: UpgradeOptions): Promise<void> {
  const { wanted, timeoutMs, say, signal } = options;
  const ref = { type: RESOURCES.pods, namespace: step.namespace, name: step.name };
  const look = async (): Promise<MeshedPod | undefined> => {
    const found = await client.find(ref, signal);
    const pod = found === undefined ? undefined : MeshedPod.parse(found);
    return pod?.metadata.uid === step.uid && pod.metadata.deletionTimestamp === undefined ? pod : undefined;
  };
  const before = await look();
  if (before === undefined) return say(`${step.namespace}/${step.name} is gone`);
  const began = performance.now();
  await client.patch(ref, { type: "json", body: patchOf(step, wanted) }, { signal });
  const isBack = await turned(look, { restarts: restartsOf(before), timeoutMs, signal });
  if (isBack === "gone") return say(`${step.namespace}/${step.name} is gone`);
  if (isBack === "late") {
    const old = { image: step.from, version: before.metadata.annotations["linkerd.io/proxy-version"] };
    await client.patch(
      ref,
      { type: "json", body: patchOf({ ...step, from: wanted.image }, old) },
      { signal },
    );
    throw new UpgradeError(
      `${step.namespace}/${step.name}: its proxy was not ready with ${wanted.image} within ${timeoutMs / 1_000} s and has ${step.from} again; nothing else was changed`,
    );
  }
  await sleep(SETTLE_MS, undefined, { signal });
  const after = await look();
  const others = after === undefined ? 0 : otherRestarts(after) - otherRestarts(before);
  const told = others === 0 ? "" : `; ${others} other containers of it were restarted meanwhile`;
  say(`${step.namespace}/${step.name} after ${Math.round((performance.now() - began) / 100) / 10} s${told}`);
}

async function turned(
  look: () => Promise<MeshedPod | undefined>,
  {
    restarts,
    timeoutMs,
    signal,
  }: { readonly restarts: number; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<"back" | "gone" | "late"> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    await sleep(LOOK_MS, undefined, { signal });
    const pod = await look();
    if (pod === undefined) return "gone";
    if (hasTurned(pod, restarts)) return "back";
    if (performance.now() > end) return "late";
  }
}
