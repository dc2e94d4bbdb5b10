/** What is looked at in a cluster before manifests for it are printed. */
import { z } from "zod";
import { DEFINITIONS } from "@hauberk/mesh/install/crd/definitions.ts";
import { nameOf } from "@hauberk/mesh/install/crd/definition.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";

export interface Preflight {
  /** Why nothing may be installed. */
  readonly refusal: string | undefined;
  readonly notes: readonly string[];
  /** `ca.crt` of the issuer's Secret, where somebody else made it. */
  readonly anchors: string | undefined;
}

const SecretData = z.looseObject({ data: z.record(z.string(), z.string()).optional() });

export async function preflight(client: KubeClient, namespace: string): Promise<Preflight> {
  const [config, kinds, secret] = await Promise.all([
    client.find({ type: RESOURCES.configMaps, namespace, name: "linkerd-config" }),
    client.list({ type: RESOURCES.customResourceDefinitions }),
    client.find({ type: RESOURCES.secrets, namespace, name: "linkerd-identity-issuer" }),
  ]);
  const names = new Set(kinds.map(({ metadata }) => metadata.name));
  const missing = DEFINITIONS.map(nameOf).filter((name) => !names.has(name));
  return {
    refusal: refusalOf(config !== undefined, missing, namespace),
    notes: names.has("httproutes.gateway.networking.k8s.io")
      ? []
      : [
          "the Gateway API is not installed: routes of gateway.networking.k8s.io can be used once its kinds are there",
        ],
    anchors: anchorsOf(secret),
  };
}

function refusalOf(isInstalled: boolean, missing: readonly string[], namespace: string): string | undefined {
  if (isInstalled) {
    return `there is a control plane in the namespace ${namespace}: hauberk upgrade changes it, --ignore-cluster prints without looking`;
  }
  if (missing.length === 0) return undefined;
  return `the cluster does not have ${missing.join(", ")}: hauberk install --crds | kubectl apply -f -`;
}

function anchorsOf(secret: unknown): string | undefined {
  const encoded = SecretData.safeParse(secret).data?.data?.["ca.crt"];
  return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString("utf8");
}
