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

/** By group and version, the plural name of each kind. */
async function servedOf(client: KubeClient, signal: AbortSignal): Promise<readonly Served[]> {
  const found: Served[] = [];
  const groups = Map.groupBy(DECODERS, ({ group }) => group);
  for (const [group, kinds] of groups) {
    const listed = group === "" ? undefined : Group.safeParse(await json(client, `/apis/${group}`, signal));
    const versions =
      group === ""
        ? ["v1"]
        : listed?.success === true
          ? listed.data.versions.map(({ version }) => version)
          : [];
    const names = new Map<string, ReadonlyMap<string, string>>();
    for (const version of versions) {
      const root = group === "" ? "/api/v1" : `/apis/${group}/${version}`;
      const parsed = Resources.safeParse(await json(client, root, signal));
      const plain = parsed.success ? parsed.data.resources.filter(({ name }) => !name.includes("/")) : [];
      names.set(version, new Map(plain.map(({ kind, name }) => [kind, name])));
    }
    for (const { kind, versions: known } of kinds) {
      const version = known.toReversed().find((one) => names.get(one)?.has(kind) === true);
      const plural = version === undefined ? undefined : names.get(version)?.get(kind);
      if (version !== undefined && plural !== undefined) found.push({ group, version, plural });
    }
  }
  return found;
}

/** The cluster's objects and the settings of the control plane in `namespace`; defaults where it is not installed. */
export async function worldOfCluster(
  client: KubeClient,
  { namespace, signal }: { readonly namespace: string; readonly signal: AbortSignal },
): Promise<PolicyWorld> {
  const config = await client.find({ type: RESOURCES.configMaps, namespace, name: "linkerd-config" }, signal);
  const data = z.looseObject({ values: z.string() }).safeParse(config?.["data"]);
  const settings = data.success ? settingsOfConfig(data.data.values, namespace) : settingsOf({}, namespace);
  const objects: ManifestObject[] = [];
  for (const type of await servedOf(client, signal)) {
    for await (const page of client.pages({ type }, { signal })) {
      for (const item of page.items) {
        const parsed = parseObject(item);
        if (parsed.ok) objects.push(parsed.object);
      }
    }
  }
  return worldOfObjects(objects, settings);
}
