/** Writes down which builds of the proxy a verified release approves (`identity.approvedProxies=require` asks for it). */
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { Index, Manifest, MediaType, parseDocument } from "@hauberk/release/oci/model.ts";
import type { Store } from "@hauberk/release/oci/store.ts";
import { z } from "zod";

const NAME = "hauberk-approved-proxies";
const KEY = "digests";
const FIELD_MANAGER = "hauberk-upgrade";

const ConfigMap = z.object({ data: z.record(z.string(), z.string()).default({}) });

/** Every digest by which a runtime may name the image: its index, each platform's manifest, and its configuration. */
export async function digestsOf(store: Store, reference: string): Promise<readonly string[]> {
  const stored = await store.document(reference);
  if (stored === undefined) throw new Error(`${store.name} has no ${reference}`);
  const { descriptor, bytes } = stored;
  if (descriptor.mediaType !== MediaType.index)
    return [descriptor.digest, parseDocument(Manifest, bytes, reference).config.digest];
  const found: string[] = [descriptor.digest];
  for (const { digest } of parseDocument(Index, bytes, reference).manifests)
    found.push(...(await digestsOf(store, digest)));
  return found;
}

/** Adds to what is approved: proxies of the version before go on renewing until their pods are replaced. */
export async function approve(
  client: KubeClient,
  namespace: string,
  { version, digests }: { readonly version: string; readonly digests: readonly string[] },
): Promise<void> {
  const ref = { type: RESOURCES.configMaps, namespace, name: NAME };
  const found = await client.find(ref);
  const before = found === undefined ? "" : (ConfigMap.parse(found).data[KEY] ?? "");
  const missing = digests.filter((digest) => !before.includes(digest));
  const lines = missing.map((digest) => `${digest}  proxy ${version}\n`);
  const data = { [KEY]: `${before}${lines.join("")}` };
  await client.apply(
    ref,
    { apiVersion: "v1", kind: "ConfigMap", data },
    { fieldManager: FIELD_MANAGER, force: true },
  );
}
