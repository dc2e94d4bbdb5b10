/** Which types an API server serves, and in which versions: one call for all of them (KEP-3352). */
import { z } from "zod";
import type { KubeClient } from "./client.ts";
import { KUBE_REASON, KubeError } from "./error.ts";
import type { ResourceType } from "./resource.ts";

/** Servers since 1.30 speak v2, which is the beta's in all but name. */
const ACCEPT = [
  "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
  "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
].join(",");

/** A type as it is served. */
export interface ServedType extends ResourceType {
  readonly kind: string;
  readonly isNamespaced: boolean;
  readonly verbs: readonly string[];
  /** As in `status`, `scale`. */
  readonly subresources: readonly string[];
}

const Discovered = z.object({
  kind: z.literal("APIGroupDiscoveryList"),
  items: z
    .array(
      z.object({
        metadata: z.object({ name: z.string().default("") }).default({ name: "" }),
        versions: z
          .array(
            z.object({
              version: z.string(),
              /** `Stale`: an aggregated server did not answer; what it serves is not known now. */
              freshness: z.string().nullish(),
              resources: z
                .array(
                  z.object({
                    resource: z.string(),
                    responseKind: z.object({ kind: z.string() }).nullish(),
                    scope: z.string().nullish(),
                    verbs: z.array(z.string()).nullish(),
                    subresources: z.array(z.object({ subresource: z.string() })).nullish(),
                  }),
                )
                .nullish(),
            }),
          )
          .nullish(),
      }),
    )
    .nullish(),
});

function typesOf(list: z.infer<typeof Discovered>): readonly ServedType[] {
  return (list.items ?? []).flatMap(({ metadata, versions }) =>
    (versions ?? []).flatMap(({ version, resources }) =>
      (resources ?? []).map(({ resource, responseKind, scope, verbs, subresources }) => ({
        group: metadata.name,
        version,
        plural: resource,
        kind: responseKind?.kind ?? "",
        isNamespaced: scope === "Namespaced",
        verbs: verbs ?? [],
        subresources: (subresources ?? []).map(({ subresource }) => subresource),
      })),
    ),
  );
}

async function read(client: KubeClient, path: string, signal?: AbortSignal): Promise<readonly ServedType[]> {
  const { body } = await client.raw(path, { accept: ACCEPT, signal });
  let list: unknown;
  try {
    list = JSON.parse(body);
  } catch {
    list = undefined;
  }
  const parsed = Discovered.safeParse(list);
  if (parsed.success) return typesOf(parsed.data);
  throw new KubeError(
    { status: 0, reason: KUBE_REASON.malformed },
    `discovery ${path}: the server does not speak apidiscovery.k8s.io/v2, which Kubernetes has since 1.30`,
    { cause: parsed.error },
  );
}

/** Every type that is served, in every version; most preferred versions first within a group. */
export async function discover(client: KubeClient, signal?: AbortSignal): Promise<readonly ServedType[]> {
  const [core, groups] = await Promise.all([read(client, "/api", signal), read(client, "/apis", signal)]);
  return [...core, ...groups];
}

/** The type of objects of this `apiVersion` and `kind`, if it is served. */
export function typeOf(
  types: readonly ServedType[],
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
): ServedType | undefined {
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  return types.find((type) => type.group === group && type.version === version && type.kind === kind);
}

/** The last of `versions` that is served: ours are written from the oldest to the newest. */
export function newestServed(
  types: readonly ServedType[],
  {
    group,
    kind,
    versions,
  }: { readonly group: string; readonly kind: string; readonly versions: readonly string[] },
): ServedType | undefined {
  const served = types.filter((type) => type.group === group && type.kind === kind);
  return versions.flatMap((version) => served.filter((type) => type.version === version)).at(-1);
}
