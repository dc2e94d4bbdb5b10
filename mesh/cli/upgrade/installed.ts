/** What a cluster runs, as a plan asks for it. */
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import type { Installed } from "@hauberk/release/channel/plan.ts";
import { compare, valid } from "semver";
import { z } from "zod";

const Deployment = z.object({
  spec: z.object({
    template: z.object({
      metadata: z.object({ annotations: z.record(z.string(), z.string()).default({}) }).prefault({}),
      spec: z.object({
        containers: z.array(z.object({ name: z.string(), image: z.string().default("") })),
        initContainers: z.array(z.object({ name: z.string(), image: z.string().default("") })).default([]),
      }),
    }),
  }),
});
const Definition = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({ group: z.string() }),
  status: z.object({ storedVersions: z.array(z.string()).default([]) }).prefault({}),
});
const Pod = z.object({
  metadata: z.object({ annotations: z.record(z.string(), z.string()).default({}) }),
});

/** Groups whose kinds are the mesh's. */
const GROUPS = ["linkerd.io", "hauberk.io"];
const PROXY = "linkerd-proxy";
const CREATED_BY = "linkerd.io/created-by";
const PROXY_VERSION = "linkerd.io/proxy-version";

/** The digest of an image reference, as far as it has one. */
const digestIn = (image: string) => /@(sha256:[0-9a-f]{64})$/.exec(image)?.[1];

/** What is read off the control plane's Deployments. */
export interface ControlPlane {
  readonly version: string | undefined;
  readonly images: Readonly<Record<string, string>>;
}

export function controlPlaneOf(deployments: readonly unknown[]): ControlPlane {
  const images: Record<string, string> = {};
  let version: string | undefined;
  for (const deployment of deployments) {
    const { metadata, spec } = Deployment.parse(deployment).spec.template;
    version ??= /(?:^|[/ ])v?(\d+\.\d+\.\d+\S*)$/.exec(metadata.annotations[CREATED_BY] ?? "")?.[1];
    for (const { name, image } of [...spec.containers, ...spec.initContainers]) {
      const digest = digestIn(image);
      if (digest !== undefined)
        images[name === PROXY || name === "linkerd-init" ? "proxy" : "controller"] = digest;
    }
  }
  return { version, images };
}

/** Reads what is installed. @throws if there is no control plane in the namespace. */
export async function readInstalled(client: KubeClient, namespace: string): Promise<Installed> {
  const [deployments, definitions, pods] = await Promise.all([
    client.list({ type: RESOURCES.deployments, namespace }),
    client.list({ type: RESOURCES.customResourceDefinitions }),
    client.list({ type: RESOURCES.pods }, { labelSelector: `linkerd.io/control-plane-ns=${namespace}` }),
  ]);
  const { version, images } = controlPlaneOf(deployments);
  if (version === undefined)
    throw new Error(`there is no control plane in the namespace ${namespace}: hauberk install prints one`);
  const proxies = pods
    .flatMap((pod) => Pod.parse(pod).metadata.annotations[PROXY_VERSION] ?? [])
    // A version that is pinned has its digest after it.
    .map((proxy) => proxy.replace(/@.*$/, ""))
    .filter((proxy) => valid(proxy) !== null)
    .toSorted(compare);
  return {
    version,
    images: { ...images },
    crds: definitions
      .map((definition) => Definition.parse(definition))
      .filter(({ spec }) => GROUPS.some((group) => spec.group === group || spec.group.endsWith(`.${group}`)))
      .map(({ metadata, status }) => ({ name: metadata.name, storedVersions: status.storedVersions })),
    ...(proxies[0] === undefined ? {} : { oldestProxy: proxies[0] }),
    conformance: {},
  };
}
