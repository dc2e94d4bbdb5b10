/** The trust of a cluster, as an operator meets it: a ConfigMap to read, a Secret to ask with. */
import { z } from "zod";
import { TRUST_RECORD, TRUST_REQUEST } from "@hauberk/mesh/identity/trust-objects.ts";
import {
  NOTHING_RECORDED,
  readRecord,
  readRequest,
  writeRequest,
  type RotationRequest,
} from "@hauberk/mesh/identity/trust-record.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { isStatus } from "@hauberk/mesh/source/kube/error.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import type { TrustHome } from "./home.ts";

const FIELD_MANAGER = "hauberk-cli";

const Data = z.object({ data: z.record(z.string(), z.string()).nullish() });

/** The trust of the control plane in `namespace`. Closes the client at the end. */
export function clusterHome(client: KubeClient, namespace: string): TrustHome {
  const configMap = { type: RESOURCES.configMaps, namespace, name: TRUST_RECORD.name };
  const secret = { type: RESOURCES.secrets, namespace, name: TRUST_REQUEST.name };
  return {
    name: namespace,
    record: async () => {
      const text = Data.parse((await client.find(configMap)) ?? {}).data?.[TRUST_RECORD.record];
      return text === undefined ? NOTHING_RECORDED : readRecord(text);
    },
    request: async () => {
      const text = Data.parse((await client.find(secret)) ?? {}).data?.[TRUST_REQUEST.key];
      return text === undefined ? undefined : readRequest(Buffer.from(text, "base64").toString("utf8"));
    },
    ask: async (request) => {
      try {
        const object = { metadata: { name: secret.name, namespace }, type: "Opaque", data: dataOf(request) };
        await client.create(secret, object, { fieldManager: FIELD_MANAGER });
        return true;
      } catch (error) {
        if (isStatus(error, 409)) return false;
        throw error;
      }
    },
    replace: async (request) => {
      const body = { data: dataOf(request) };
      await client.patch(secret, { type: "merge", body }, { fieldManager: FIELD_MANAGER });
    },
    close: () => client.close(),
  };
}

function dataOf(request: RotationRequest): Readonly<Record<string, string>> {
  return { [TRUST_REQUEST.key]: Buffer.from(writeRequest(request)).toString("base64") };
}
