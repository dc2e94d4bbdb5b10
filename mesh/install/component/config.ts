/** What the control plane and its proxies are told: the values themselves, trust, and the issuer. */
import { z } from "zod";
import type { Template } from "../chart.ts";
import {
  all,
  base64,
  block,
  embedded,
  equal,
  not,
  value,
  type Node,
  type TemplateMap,
} from "../template/node.ts";
import { aboutOf } from "../values/leaf.ts";
import { Values } from "../values/schema.ts";
import { MESH_VERSION, inNamespace } from "./meta.ts";
import { TRUST_DOMAIN, TRUST_ROOTS } from "./sidecar.ts";

/** Values that the ConfigMap has in another form: what an empty one stands for is written out. */
const RESOLVED: Readonly<Record<string, Node>> = {
  linkerdVersion: MESH_VERSION,
  identityTrustDomain: TRUST_DOMAIN,
};

/** Private: it lies in the Secret, and nowhere else. */
const SECRET = "identity.issuer.tls.keyPEM";

function valuesNode(schema: z.ZodObject, above: readonly string[] = []): TemplateMap {
  return Object.fromEntries(
    Object.entries(schema.shape).flatMap(([name, child]): readonly (readonly [string, Node])[] => {
      const path = [...above, name];
      const written = path.join(".");
      if (written === SECRET) return [];
      if (aboutOf(child) === undefined && child instanceof z.ZodObject)
        return [[name, valuesNode(child, path)]];
      return [[name, RESOLVED[written] ?? value(written)]];
    }),
  );
}

const configuration: Template = {
  file: "config-configmap",
  kind: "ConfigMap",
  object: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: inNamespace("linkerd-config", { component: "controller" }),
    data: {
      values: embedded(valuesNode(Values)),
    },
  },
};

/** Left alone where somebody else makes it, such as trust-manager. */
const trustRoots: Template = {
  file: "trust-roots-configmap",
  kind: "ConfigMap",
  condition: not("identity.externalCA"),
  object: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: inNamespace(TRUST_ROOTS, { component: "identity" }),
    data: { "ca-bundle.crt": block(value("identityTrustAnchorsPEM")) },
  },
};

const issuer: Template = {
  file: "identity-issuer-secret",
  kind: "Secret",
  condition: all(equal("identity.issuer.scheme", "linkerd.io/tls"), "identity.issuer.tls.crtPEM"),
  object: {
    apiVersion: "v1",
    kind: "Secret",
    type: "Opaque",
    metadata: inNamespace("linkerd-identity-issuer", { component: "identity" }),
    data: {
      "crt.pem": base64(value("identity.issuer.tls.crtPEM")),
      "key.pem": base64(value("identity.issuer.tls.keyPEM")),
    },
  },
};

/** Trust as it is at the beginning: what is in force later is written by the control plane. */
export const AUTHORITY_TEMPLATES: readonly Template[] = [trustRoots, issuer];

export const CONFIGURATION: readonly Template[] = [configuration, ...AUTHORITY_TEMPLATES];
