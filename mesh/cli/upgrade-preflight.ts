/** What is looked at before an upgrade, and the one thing that is written: objects in their kind's newest version. */
import { z } from "zod";
import { DEFINITIONS } from "@hauberk/mesh/install/crd/definitions.ts";
import { nameOf, storageVersionOf, type Definition } from "@hauberk/mesh/install/crd/definition.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { isStatus } from "@hauberk/mesh/source/kube/error.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";

const Kind = z.looseObject({
  spec: z.looseObject({
    versions: z.array(z.looseObject({ name: z.string(), storage: z.boolean(), served: z.boolean() })),
  }),
  status: z.looseObject({ storedVersions: z.array(z.string()).default([]) }).default({ storedVersions: [] }),
});
type Kind = z.infer<typeof Kind>;

/** How often one object is written again because somebody else wrote in between. */
const RACES_MAX = 5;

/** Why the manifests of this version should not be applied yet. */
export async function upgradePreflight(client: KubeClient): Promise<readonly string[]> {
  const objections = await Promise.all(
    DEFINITIONS.map(async (definition) => {
      const kind = await find(client, definition);
      const name = nameOf(definition);
      if (kind === undefined) return `${name} is missing: hauberk upgrade --crds | kubectl apply -f -`;
      const missing = definition.versions.filter(
        (version) => !kind.spec.versions.some(({ name: has, served }) => has === version.name && served),
      );
      if (missing.length > 0) {
        return `${name} does not serve ${missing.map((version) => version.name).join(", ")}: hauberk upgrade --crds | kubectl apply -f -`;
      }
      const gone = kind.status.storedVersions.filter(
        (stored) => !definition.versions.some((version) => version.name === stored),
      );
      return gone.length === 0
        ? undefined
        : `${name} has objects stored as ${gone.join(", ")}, which this version does not know: hauberk upgrade --migrate-crds`;
    }),
  );
  return objections.flatMap((objection) => objection ?? []);
}

async function find(client: KubeClient, definition: Definition): Promise<Kind | undefined> {
  const found = await client.find({ type: RESOURCES.customResourceDefinitions, name: nameOf(definition) });
  return found === undefined ? undefined : Kind.parse(found);
}

/**
 * Writes every object of ours as it is, which stores it in its kind's storage version, and then says in the kind's status
 * that no older version is stored. Both can be repeated at any time.
 */
export async function migrateKinds(client: KubeClient, say: (line: string) => void): Promise<void> {
  for (const definition of DEFINITIONS) {
    const name = nameOf(definition);
    const kind = await find(client, definition);
    if (kind === undefined) {
      say(`${name}: not installed`);
      continue;
    }
    const storage =
      kind.spec.versions.find((version) => version.storage)?.name ?? storageVersionOf(definition);
    const old = kind.status.storedVersions.filter((version) => version !== storage);
    if (old.length === 0) {
      say(`${name}: all is stored as ${storage}`);
      continue;
    }
    const written = await rewrite(client, definition, storage);
    await client.patch(
      { type: RESOURCES.customResourceDefinitions, name, subresource: "status" },
      { type: "merge", body: { status: { storedVersions: [storage] } } },
    );
    say(`${name}: ${written} objects are now stored as ${storage}, none as ${old.join(", ")}`);
  }
}

async function rewrite(client: KubeClient, { group, plural }: Definition, version: string): Promise<number> {
  const type = { group, version, plural };
  const objects = await client.list({ type });
  for (const { metadata } of objects) {
    const { name, namespace } = metadata;
    await again(async () => {
      const ref = { type, name, namespace };
      const object = await client.find(ref);
      // Deleted meanwhile: nothing is stored of it.
      if (object !== undefined) await client.replace(ref, object);
    });
  }
  return objects.length;
}

async function again(write: () => Promise<void>): Promise<void> {
  for (let race = 1; ; race += 1) {
    try {
      await write();
      return;
    } catch (error) {
      if (isStatus(error, 404)) return;
      if (!isStatus(error, 409) || race === RACES_MAX) throw error;
    }
  }
}
