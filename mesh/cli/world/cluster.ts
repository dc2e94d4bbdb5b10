/** One look at a cluster: every object that policy depends on, each kind in the newest version that both know. */
import { z } from "zod";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { KubeError } from "@hauberk/mesh/source/kube/error.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { DECODERS } from "@hauberk/mesh/source/decode/decode.ts";
import type { ManifestObject } from "@hauberk/mesh/source/manifests/document.ts";
import { parseObject } from "@hauberk/mesh/source/manifests/parse.ts";
import { settingsOf, settingsOfConfig } from "./settings.ts";
import { worldOfObjects, type PolicyWorld } from "./world.ts";

const Group = z.looseObject({ versions: z.array(z.looseObject({ version: z.string() })) });
const Resources = z.looseObject({
  resources: z.array(z.looseObject({ kind: z.string(), name: z.string() })),
});

/** A kind as it is served. */
interface Served {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}

async function json(client: KubeClient, path: string, signal: AbortSignal): Promise<unknown> {
  try {
    const { body } = await client.raw(path, { signal });
    return JSON.parse(body);
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

/** The kinds that a version of a group serves, with their plural names. */
async function namesOf(
  client: KubeClient,
  { group, version }: { readonly group: string; readonly version: string },
  signal: AbortSignal,
): Promise<readonly [string, ReadonlyMap<string, string>]> {
  const root = group === "" ? "/api/v1" : `/apis/${group}/${version}`;
  const parsed = Resources.safeParse(await json(client, root, signal));
  const plain = parsed.success ? parsed.data.resources.filter(({ name }) => !name.includes("/")) : [];
  return [version, new Map(plain.map(({ kind, name }) => [kind, name]))];
}

/** The kinds of one group that both know, each in its newest version. */
async function servedOf(
  client: KubeClient,
  { group, kinds }: { readonly group: string; readonly kinds: readonly (typeof DECODERS)[number][] },
  signal: AbortSignal,
): Promise<readonly Served[]> {
  const listed = group === "" ? undefined : Group.safeParse(await json(client, `/apis/${group}`, signal));
  const listedVersions = listed?.success === true ? listed.data.versions.map(({ version }) => version) : [];
  const versions = group === "" ? ["v1"] : listedVersions;
  const names = new Map(
    await Promise.all(versions.map((version) => namesOf(client, { group, version }, signal))),
  );
  return kinds.flatMap(({ kind, versions: known }): readonly Served[] => {
    const version = known.toReversed().find((one) => names.get(one)?.has(kind) === true);
    const plural = version === undefined ? undefined : names.get(version)?.get(kind);
    return version === undefined || plural === undefined ? [] : [{ group, version, plural }];
  });
}

async function objectsOf(
  client: KubeClient,
  type: Served,
  signal: AbortSignal,
): Promise<readonly ManifestObject[]> {
  const objects: ManifestObject[] = [];
  for await (const page of client.pages({ type }, { signal })) {
    for (const item of page.items) {
      const parsed = parseObject(item);
      if (parsed.ok) objects.push(parsed.object);
    }
  }
  return objects;
}

/** Every object that policy depends on, as it is. */
export async function listObjects(
  client: KubeClient,
  signal: AbortSignal,
): Promise<readonly ManifestObject[]> {
  const groups = [...Map.groupBy(DECODERS, ({ group }) => group)];
  const served = await Promise.all(
    groups.map(([group, kinds]) => servedOf(client, { group, kinds }, signal)),
  );
  return (await Promise.all(served.flat().map((type) => objectsOf(client, type, signal)))).flat();
}

/** The cluster's objects and the settings of the control plane in `namespace`; defaults where it is not installed. */
export async function worldOfCluster(
  client: KubeClient,
  { namespace, signal }: { readonly namespace: string; readonly signal: AbortSignal },
): Promise<PolicyWorld> {
  const config = await client.find({ type: RESOURCES.configMaps, namespace, name: "linkerd-config" }, signal);
  const data = z.looseObject({ values: z.string() }).safeParse(config?.["data"]);
  const settings = data.success ? settingsOfConfig(data.data.values, namespace) : settingsOf({}, namespace);
  return worldOfObjects(await listObjects(client, signal), settings);
}
