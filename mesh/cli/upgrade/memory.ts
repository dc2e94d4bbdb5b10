/** What a cluster remembers of its channel, so that no operator of it is taken back to an older state. */
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import type { Memory } from "@hauberk/release/channel/follow.ts";
import { z } from "zod";

const NAME = "hauberk-channel";
const FIELD_MANAGER = "hauberk-upgrade";

const Remembered = z.object({ binaryData: z.record(z.string(), z.string()).default({}) });

/** A ConfigMap of the newest metadata that was believed, in the control plane's namespace. */
export function clusterMemory(client: KubeClient, namespace: string): Memory {
  const ref = { type: RESOURCES.configMaps, namespace, name: NAME };
  return {
    load: async () => {
      const found = await client.find(ref);
      if (found === undefined) return new Map();
      const { binaryData } = Remembered.parse(found);
      return new Map(
        Object.entries(binaryData).map(([name, base64]) => [name, Buffer.from(base64, "base64")] as const),
      );
    },
    save: async (files) => {
      const binaryData = Object.fromEntries(
        [...files].map(([name, bytes]) => [name, bytes.toString("base64")]),
      );
      await client.apply(
        ref,
        { apiVersion: "v1", kind: "ConfigMap", binaryData },
        { fieldManager: FIELD_MANAGER, force: true },
      );
    },
  };
}
