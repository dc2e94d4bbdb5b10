/** ServiceProfile, ExternalWorkload and Link: the kinds of Linkerd's other groups. */
import type { Definition } from "./definition.ts";
import {
  ANYTHING,
  BOOLEAN,
  CONDITIONS,
  LABEL_SELECTOR,
  PORT,
  described,
  integer,
  list,
  object,
  oneOf,
  string,
  type Schema,
} from "./schema.ts";

/** How often conditions may stand in one another before the schema stops looking; the decoder still does. */
const CONDITION_DEPTH = 3;

function condition(leaf: { readonly [name: string]: Schema }, depth: number = CONDITION_DEPTH): Schema {
  const inner = depth === 0 ? ANYTHING : condition(leaf, depth - 1);
  return object({ ...leaf, all: list(inner), any: list(inner), not: inner }, [], { minProperties: 1 });
}

const REQUEST = condition({ pathRegex: string(), method: string() });
const RESPONSE = condition({ status: object({ min: integer(100, 599), max: integer(100, 599) }) });

const PROFILE_SPEC: Schema = object({
  routes: list(
    object(
      {
        name: string({ minLength: 1 }),
        condition: REQUEST,
        isRetryable: BOOLEAN,
        timeout: string(),
        responseClasses: list(object({ condition: RESPONSE, isFailure: BOOLEAN }, ["condition"])),
      },
      ["name", "condition"],
    ),
  ),
  retryBudget: object(
    {
      retryRatio: { type: "number", minimum: 0 },
      minRetriesPerSecond: integer(0),
      ttl: string(),
    },
    ["retryRatio", "minRetriesPerSecond", "ttl"],
  ),
  dstOverrides: list(
    object({ authority: string({ minLength: 1 }), weight: { "x-kubernetes-int-or-string": true } }, [
      "authority",
      "weight",
    ]),
  ),
  opaquePorts: list({ "x-kubernetes-int-or-string": true }),
});

const serviceProfile: Definition = {
  group: "linkerd.io",
  kind: "ServiceProfile",
  plural: "serviceprofiles",
  shortNames: ["sp"],
  versions: [
    {
      name: "v1alpha1",
      spec: PROFILE_SPEC,
      needsSpec: false,
      deprecation: "linkerd.io/v1alpha1 ServiceProfile is superseded by linkerd.io/v1alpha2 ServiceProfile",
    },
    { name: "v1alpha2", spec: PROFILE_SPEC, needsSpec: false },
  ],
};

const IDENTITY: Schema = described(
  "Who the workload is: its TLS identity, and the name that clients send (SNI).",
  object(
    {
      identity: string({ minLength: 1, maxLength: 253 }),
      serverName: string({ minLength: 1, maxLength: 253 }),
    },
    ["identity", "serverName"],
  ),
);

function workloadSpec(identityField: "meshTls" | "meshTLS"): Schema {
  return object(
    {
      [identityField]: IDENTITY,
      ports: list(
        object(
          {
            name: string({ maxLength: 63 }),
            port: PORT,
            protocol: { ...oneOf("TCP", "UDP", "SCTP"), default: "TCP" },
          },
          ["port"],
        ),
      ),
      workloadIPs: list(object({ ip: string({ minLength: 1 }) }, ["ip"]), { maxItems: 1 }),
    },
    [identityField],
  );
}

const WORKLOAD_STATUS: Schema = object({
  conditions: list(
    object(
      {
        type: string({ minLength: 1, maxLength: 316 }),
        status: oneOf("True", "False", "Unknown"),
        lastProbeTime: string({ format: "date-time" }),
        lastTransitionTime: string({ format: "date-time" }),
        observedGeneration: { type: "integer", format: "int64" },
        reason: string({ maxLength: 1024 }),
        message: string({ maxLength: 32_768 }),
      },
      ["type", "status"],
    ),
  ),
});

const externalWorkload: Definition = {
  group: "workload.linkerd.io",
  kind: "ExternalWorkload",
  plural: "externalworkloads",
  versions: [
    {
      name: "v1alpha1",
      spec: workloadSpec("meshTls"),
      status: WORKLOAD_STATUS,
      columns: [{ name: "Identity", type: "string", jsonPath: ".spec.meshTls.identity" }],
      deprecation:
        "workload.linkerd.io/v1alpha1 ExternalWorkload is superseded by workload.linkerd.io/v1beta1 ExternalWorkload",
    },
    {
      name: "v1beta1",
      spec: workloadSpec("meshTLS"),
      status: WORKLOAD_STATUS,
      columns: [
        { name: "Identity", type: "string", jsonPath: ".spec.meshTLS.identity" },
        { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
      ],
    },
  ],
};

const PROBE: Schema = object({
  path: string(),
  port: string(),
  period: string(),
  timeout: string({ default: "30s" }),
  failureThreshold: string({ default: "3" }),
});

function linkSpec(since: { readonly federation: boolean; readonly exclusion: boolean }): Schema {
  return object(
    {
      targetClusterName: string({ minLength: 1 }),
      targetClusterDomain: string(),
      targetClusterLinkerdNamespace: string(),
      clusterCredentialsSecret: string(),
      gatewayAddress: string(),
      gatewayPort: string(),
      gatewayIdentity: string(),
      probeSpec: PROBE,
      selector: LABEL_SELECTOR,
      remoteDiscoverySelector: LABEL_SELECTOR,
      ...(since.federation ? { federatedServiceSelector: LABEL_SELECTOR } : {}),
      ...(since.exclusion ? { excludedAnnotations: list(string()), excludedLabels: list(string()) } : {}),
    },
    ["targetClusterName"],
  );
}

const REFERENCE = { group: string(), kind: string(), name: string(), namespace: string() } as const;

const MIRRORED: Schema = list(
  object(
    {
      controllerName: string({ minLength: 1 }),
      remoteRef: object(REFERENCE, ["name", "namespace"]),
      conditions: list(
        object({ ...CONDITIONS.items?.properties, localRef: object(REFERENCE) }, ["type", "status"]),
      ),
    },
    ["controllerName", "remoteRef"],
  ),
);

const LINK_STATUS: Schema = object({ mirrorServices: MIRRORED, federatedServices: MIRRORED });

const link: Definition = {
  group: "multicluster.linkerd.io",
  kind: "Link",
  plural: "links",
  versions: [
    { name: "v1alpha1", spec: linkSpec({ federation: false, exclusion: false }) },
    { name: "v1alpha2", spec: linkSpec({ federation: true, exclusion: false }), status: LINK_STATUS },
    { name: "v1alpha3", spec: linkSpec({ federation: true, exclusion: true }), status: LINK_STATUS },
  ],
};

export const WORKLOAD: readonly Definition[] = [externalWorkload, link, serviceProfile];
