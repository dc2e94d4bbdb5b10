/** Versions that run in a cluster. */
import { z } from "zod";
import { parseValuesFile } from "@hauberk/mesh/install/values/file.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";

const Config = z.looseObject({ data: z.looseObject({ values: z.string() }) });
const Values = z.looseObject({ linkerdVersion: z.string() });

/** Of the control plane, as its ConfigMap says. */
export async function installedVersion(client: KubeClient, namespace: string): Promise<string> {
  const config = await client.get({ type: RESOURCES.configMaps, namespace, name: "linkerd-config" });
  return Values.parse(parseValuesFile(Config.parse(config).data.values, "ConfigMap linkerd-config"))
    .linkerdVersion;
}

/** Of the meshed pods, each with how many pods have it. */
export async function proxyVersions(
  client: KubeClient,
  controlPlane: string,
  namespace: string | undefined,
): Promise<ReadonlyMap<string, number>> {
  const pods = await client.list(
    { type: RESOURCES.pods, namespace },
    { labelSelector: `linkerd.io/control-plane-ns=${controlPlane}` },
  );
  const counts = new Map<string, number>();
  for (const { metadata } of pods) {
    const version = metadata.annotations?.["linkerd.io/proxy-version"] ?? "unknown";
    counts.set(version, (counts.get(version) ?? 0) + 1);
  }
  return new Map([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
