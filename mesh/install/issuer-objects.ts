/** An issuer that was made elsewhere, as the two objects that the identity service reads. */
import { stringify } from "yaml";
import type { IssuerPem } from "../identity/issuer.ts";
import { writeIssuerData, type IssuerScheme } from "../identity/issuer-secret.ts";
import { TRUST_ROOTS } from "./component/sidecar.ts";

/** The Secret's name, as Linkerd has it. */
const ISSUER_SECRET = "linkerd-identity-issuer";

/** Where the objects lie, and how the Secret names its values. */
export interface IssuerPlace {
  readonly namespace: string;
  readonly scheme: IssuerScheme;
}

/** The ConfigMap of the roots and the Secret of the issuer, in the order in which they are applied. */
export function issuerObjects(pem: IssuerPem, { namespace, scheme }: IssuerPlace): readonly object[] {
  const metadata = (name: string) => ({
    name,
    namespace,
    labels: { "linkerd.io/control-plane-component": "identity", "linkerd.io/control-plane-ns": namespace },
  });
  return [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata(TRUST_ROOTS),
      data: { "ca-bundle.crt": pem.anchors },
    },
    {
      apiVersion: "v1",
      kind: "Secret",
      type: scheme === "kubernetes.io/tls" ? scheme : "Opaque",
      metadata: metadata(ISSUER_SECRET),
      data: writeIssuerData(scheme, pem),
    },
  ];
}

/** As `kubectl apply -f -` takes them. */
export function printIssuer(objects: readonly object[], output: "yaml" | "json"): string {
  switch (output) {
    case "yaml":
      return objects.map((object) => `---\n${stringify(object)}`).join("");
    case "json":
      return `${JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }, undefined, 2)}\n`;
  }
}
