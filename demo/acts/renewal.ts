import { X509Certificate } from "node:crypto";
import type { PodStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import { success } from "../promise.ts";
import type { Stage } from "../stage.ts";

const POLL_MS = 1_000;

/** Serial numbers of the certificates that proxies present now, by pod. */
async function serials(stage: Stage): Promise<ReadonlyMap<string, string>> {
  const { pods } = await stage.client.status();
  const meshed = pods.filter(({ identity }) => identity !== undefined);
  return new Map(
    await Promise.all(
      meshed.map(async (pod) => [`${pod.namespace}/${pod.name}`, await serial(stage, pod)] as const),
    ),
  );
}

async function serial(stage: Stage, pod: PodStatus): Promise<string> {
  const [leaf] = (await stage.client.certificate(pod)).chain;
  return leaf === undefined ? "" : new X509Certificate(leaf).serialNumber;
}

/** Every proxy gets a new certificate while the load goes on. */
export async function renewal(stage: Stage, withinMs: number): Promise<void> {
  stage.screen.say("\nEvery proxy renews its certificate.");
  const fromMs = Date.now();
  const before = await serials(stage);
  let renewed = 0;
  while (Date.now() - fromMs < withinMs) {
    await stage.pause(POLL_MS);
    const now = await serials(stage);
    renewed = [...now].filter(([pod, one]) => one !== "" && before.get(pod) !== one).length;
    if (renewed === before.size) break;
  }
  const load = await stage.seen({ fromMs, toMs: Date.now() });
  const seconds = Math.round((Date.now() - fromMs) / 1_000);
  stage.promise(
    "all certificates renewed under load",
    renewed === before.size &&
      before.size > 0 &&
      load.failed === 0 &&
      load.ok > 0 &&
      load.priceDisconnects === 0,
    `${renewed} of ${before.size} in ${seconds} s, ${success(load)}, ${load.priceDisconnects} streams cut`,
  );
}
