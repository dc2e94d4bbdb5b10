import { z } from "zod";
import { groupOf } from "../source/manifests/document.ts";
import type { ManifestDocument } from "../source/manifests/document.ts";

const ConfigMapBody = z.object({ data: z.record(z.string(), z.string()).default({}) });
const SecretBody = z.object({
  data: z.record(z.string(), z.base64()).default({}),
  stringData: z.record(z.string(), z.string()).default({}),
});

/** What ConfigMaps and Secrets hold. */
export class SettingsData {
  readonly #values = new Map<string, Readonly<Record<string, string>>>();

  constructor(documents: readonly ManifestDocument[]) {
    for (const { object } of documents) {
      if (groupOf(object.apiVersion) !== "") continue;
      const key = `${object.kind}/${object.metadata.namespace}/${object.metadata.name}`;
      if (object.kind === "ConfigMap") {
        const body = ConfigMapBody.safeParse(object.rest);
        if (body.success) this.#values.set(key, body.data.data);
      }
      if (object.kind === "Secret") {
        const body = SecretBody.safeParse(object.rest);
        if (body.success) this.#values.set(key, { ...decoded(body.data.data), ...body.data.stringData });
      }
    }
  }

  /** `undefined`: there is no such object. */
  values(
    kind: "ConfigMap" | "Secret",
    namespace: string,
    name: string,
  ): Readonly<Record<string, string>> | undefined {
    return this.#values.get(`${kind}/${namespace}/${name}`);
  }
}

function decoded(data: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
  );
}
