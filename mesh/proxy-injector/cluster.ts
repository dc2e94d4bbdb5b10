/** What the injector reads of a cluster: two ConfigMaps that it follows, namespaces and owners when it is asked. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ofRevision } from "../model/revision.ts";
import type { KubeClient } from "../source/kube/client.ts";
import { isStatus } from "../source/kube/error.ts";
import { RESOURCES, type ResourceType } from "../source/kube/resource.ts";
import type { Mesh, Owner } from "./inject.ts";
import type { OwnerReference } from "./pod.ts";
import { VALUES_KEY, readSettings } from "./settings.ts";
import type { Surroundings } from "./webhook.ts";

/** The installation's values. */
export const CONFIG_MAP = "linkerd-config";
/** The roots that proxies begin with; while they run, the control plane tells them of others. */
export const TRUST_ROOTS = "linkerd-identity-trust-roots";
const TRUST_ROOTS_KEY = "ca-bundle.crt";

/** How often the ConfigMaps are looked at. */
export const LOOK_MS = 10_000;

const ConfigMap = z.object({ data: z.record(z.string(), z.string()).nullish() });
const Owned = z.object({
  metadata: z.object({
    ownerReferences: z
      .array(z.object({ kind: z.string(), name: z.string(), controller: z.boolean().default(false) }))
      .nullish(),
  }),
});

/** Kinds that stand between a workload and its pods. */
const BETWEEN: ReadonlyMap<string, ResourceType> = new Map<string, ResourceType>([
  ["ReplicaSet", RESOURCES.replicaSets],
  ["Job", RESOURCES.jobs],
]);

/** Reads the mesh from its two ConfigMaps. */
export async function readMesh(
  client: KubeClient,
  {
    namespace,
    createdBy,
    revision,
    signal,
  }: {
    readonly namespace: string;
    readonly createdBy: string;
    readonly revision?: string | undefined;
    readonly signal?: AbortSignal;
  },
): Promise<Mesh> {
  const read = async (name: string, key: string): Promise<string> => {
    const { data } = ConfigMap.parse(
      await client.get({ type: RESOURCES.configMaps, namespace, name }, signal),
    );
    const value = data?.[key];
    if (value === undefined) throw new Error(`ConfigMap ${namespace}/${name} has no key ${key}`);
    return value;
  };
  const [values, trustAnchorsPem] = await Promise.all([
    read(ofRevision(CONFIG_MAP, revision), VALUES_KEY),
    read(TRUST_ROOTS, TRUST_ROOTS_KEY),
  ]);
  return {
    settings: readSettings(values, `ConfigMap ${namespace}/${ofRevision(CONFIG_MAP, revision)}`),
    namespace,
    revision,
    trustAnchorsPem,
    trustRootSha256: createHash("sha256").update(trustAnchorsPem).digest("hex"),
    createdBy,
  };
}

/** What is told of the following of the mesh. */
export type MeshEvent =
  | { readonly type: "changed"; readonly trustRootSha256: string }
  /** What was read before stays in force. */
  | { readonly type: "failed"; readonly error: unknown };

export interface FollowOptions {
  readonly client: KubeClient;
  /** The control plane's. */
  readonly namespace: string;
  /** Absent: the first control plane. */
  readonly revision?: string | undefined;
  readonly createdBy: string;
  readonly heard: (event: MeshEvent) => void;
}

/** The cluster as the webhook sees it. */
export interface FollowedCluster extends Surroundings {
  /** Whether the mesh has been read. */
  isKnown(): boolean;
  /** Resolves after the signal. */
  readonly done: Promise<void>;
}

/** Follows the mesh until `signal`. */
export function followCluster(options: FollowOptions, signal: AbortSignal): FollowedCluster {
  let mesh: Mesh | undefined;
  const follow = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        const { client, namespace, createdBy, revision } = options;
        const found = await readMesh(client, { namespace, createdBy, revision, signal });
        const isNew = JSON.stringify(found) !== JSON.stringify(mesh);
        mesh = found;
        if (isNew) options.heard({ type: "changed", trustRootSha256: found.trustRootSha256 });
      } catch (error) {
        if (!signal.aborted) options.heard({ type: "failed", error });
      }
      await sleep(LOOK_MS * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
    }
  };
  return {
    ...reads(options.client),
    mesh: () => {
      if (mesh === undefined) throw new Error("the mesh's ConfigMaps have not been read yet");
      return mesh;
    },
    isKnown: () => mesh !== undefined,
    done: follow(),
  };
}

function reads(client: KubeClient): Pick<Surroundings, "annotations" | "owner"> {
  return {
    annotations: async (name, signal) => {
      const { metadata } = await client.get({ type: RESOURCES.namespaces, name }, signal);
      return metadata.annotations ?? {};
    },
    owner: async (namespace, owners, signal) => {
      const nearest = owners.find(({ controller }) => controller);
      const type = nearest === undefined ? undefined : BETWEEN.get(nearest.kind);
      if (nearest === undefined || type === undefined) return nearest;
      const above = await ownersOf(client, { type, namespace, name: nearest.name }, signal);
      const root = above.find(({ kind, controller }) => controller && ROOTS.has(kind));
      return root ?? nearest;
    },
  };
}

/** Workloads above those of {@link BETWEEN} that labels speak of. */
const ROOTS = new Set(["Deployment", "CronJob"]);

async function ownersOf(
  client: KubeClient,
  ref: { readonly type: ResourceType; readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<readonly (Owner & Pick<OwnerReference, "controller">)[]> {
  try {
    const object = Owned.parse(await client.get(ref, signal));
    return object.metadata.ownerReferences ?? [];
  } catch (error) {
    // Gone already: the pod will follow it, and until then it belongs to what it names itself.
    if (isStatus(error, 404)) return [];
    throw error;
  }
}
