/** The kinds of `policy.linkerd.io` but routes: who may reach what (docs/guide/authorization.md). */
import type { Definition } from "./definition.ts";
import {
  BOOLEAN,
  CONDITIONS_STATUS,
  LABEL_SELECTOR,
  NAME,
  NETWORK,
  PORT_OR_NAME,
  described,
  integer,
  list,
  object,
  oneOf,
  ruled,
  string,
  type Schema,
} from "./schema.ts";

const GROUP = "policy.linkerd.io";

const PROXY_PROTOCOL: Schema = {
  ...described(
    "What clients speak on this port. Anything but unknown takes detection away.",
    oneOf("unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"),
  ),
  default: "unknown",
};

const ACCESS_POLICY: Schema = {
  ...described(
    "What is allowed where no authorization says anything.",
    oneOf(
      "all-authenticated",
      "all-unauthenticated",
      "cluster-authenticated",
      "cluster-unauthenticated",
      "deny",
      "audit",
    ),
  ),
  default: "deny",
};

const SERVER_COLUMNS = [
  { name: "Port", type: "string", jsonPath: ".spec.port" },
  { name: "Protocol", type: "string", jsonPath: ".spec.proxyProtocol" },
] as const;

function serverSpec(since: { readonly workloads: boolean; readonly access: boolean }): Schema {
  const properties = {
    podSelector: described("Pods, in this namespace, whose port this is.", LABEL_SELECTOR),
    ...(since.workloads ? { externalWorkloadSelector: LABEL_SELECTOR } : {}),
    port: PORT_OR_NAME,
    proxyProtocol: PROXY_PROTOCOL,
    ...(since.access ? { accessPolicy: ACCESS_POLICY } : {}),
  };
  if (!since.workloads) return object(properties, ["podSelector", "port"]);
  return object(properties, ["port"], {
    oneOf: [{ required: ["podSelector"] }, { required: ["externalWorkloadSelector"] }],
  });
}

function old(version: string, current: string): string {
  return `${GROUP}/${version} is superseded by ${GROUP}/${current}`;
}

const server: Definition = {
  group: GROUP,
  kind: "Server",
  plural: "servers",
  shortNames: ["srv"],
  versions: [
    {
      name: "v1alpha1",
      spec: serverSpec({ workloads: false, access: false }),
      columns: SERVER_COLUMNS,
      deprecation: old("v1alpha1 Server", "v1beta3 Server"),
    },
    { name: "v1beta1", spec: serverSpec({ workloads: false, access: false }), columns: SERVER_COLUMNS },
    { name: "v1beta2", spec: serverSpec({ workloads: true, access: false }), columns: SERVER_COLUMNS },
    {
      name: "v1beta3",
      spec: serverSpec({ workloads: true, access: true }),
      columns: [...SERVER_COLUMNS, { name: "Access Policy", type: "string", jsonPath: ".spec.accessPolicy" }],
    },
  ],
};

const SERVER_AUTHORIZATION_SPEC: Schema = object(
  {
    server: object({ name: NAME, selector: LABEL_SELECTOR }, [], {
      oneOf: [{ required: ["name"] }, { required: ["selector"] }],
    }),
    client: object({
      networks: list(NETWORK),
      unauthenticated: BOOLEAN,
      meshTLS: object({
        unauthenticatedTLS: BOOLEAN,
        identities: list(string({ minLength: 1, maxLength: 300 })),
        serviceAccounts: list(object({ name: NAME, namespace: string() }, ["name"])),
      }),
    }),
  },
  ["server", "client"],
);

const serverAuthorization: Definition = {
  group: GROUP,
  kind: "ServerAuthorization",
  plural: "serverauthorizations",
  shortNames: ["saz", "serverauthz", "srvauthz"],
  versions: [
    {
      name: "v1alpha1",
      spec: SERVER_AUTHORIZATION_SPEC,
      deprecation: old("v1alpha1 ServerAuthorization", "v1beta1 ServerAuthorization"),
    },
    {
      name: "v1beta1",
      spec: SERVER_AUTHORIZATION_SPEC,
      columns: [{ name: "Server", type: "string", jsonPath: ".spec.server.name" }],
    },
  ],
};

const authorizationPolicy: Definition = {
  group: GROUP,
  kind: "AuthorizationPolicy",
  plural: "authorizationpolicies",
  shortNames: ["authzpolicy"],
  versions: [
    {
      name: "v1alpha1",
      columns: [
        { name: "Target_kind", type: "string", jsonPath: ".spec.targetRef.kind" },
        { name: "Target_name", type: "string", jsonPath: ".spec.targetRef.name" },
      ],
      spec: object(
        {
          targetRef: described(
            "The Server, route or (its own) Namespace, in this namespace, that this authorizes for.",
            object({ group: string(), kind: string({ minLength: 1 }), name: NAME }, ["kind", "name"]),
          ),
          requiredAuthenticationRefs: described(
            "All of these must be met.",
            list(
              object({ group: string(), kind: string({ minLength: 1 }), name: NAME, namespace: string() }, [
                "kind",
                "name",
              ]),
            ),
          ),
        },
        ["targetRef", "requiredAuthenticationRefs"],
      ),
      status: CONDITIONS_STATUS,
    },
  ],
};

const meshTlsAuthentication: Definition = {
  group: GROUP,
  kind: "MeshTLSAuthentication",
  plural: "meshtlsauthentications",
  shortNames: ["meshtlsauthn"],
  versions: [
    {
      name: "v1alpha1",
      spec: object(
        {
          identities: described(
            "Identities, `*` for any, or `*.` and a suffix.",
            list(string({ minLength: 1, maxLength: 300, pattern: "^(\\*|(\\*\\.)?[^*\\s]+)$" }), {
              minItems: 1,
            }),
          ),
          identityRefs: list(
            object(
              {
                group: string(),
                kind: oneOf("ServiceAccount", "Namespace"),
                name: NAME,
                namespace: string(),
              },
              ["kind", "name"],
            ),
            { minItems: 1 },
          ),
        },
        [],
        { oneOf: [{ required: ["identities"] }, { required: ["identityRefs"] }] },
      ),
    },
  ],
};

const networkAuthentication: Definition = {
  group: GROUP,
  kind: "NetworkAuthentication",
  plural: "networkauthentications",
  shortNames: ["netauthn", "networkauthn"],
  versions: [{ name: "v1alpha1", spec: object({ networks: list(NETWORK, { minItems: 1 }) }, ["networks"]) }],
};

const RATE: Schema = object({ requestsPerSecond: integer(1, 4_294_967_295) }, ["requestsPerSecond"]);

const NO_MORE_THAN_TOTAL = "must not be above total.requestsPerSecond";

const localRateLimit: Definition = {
  group: GROUP,
  kind: "HTTPLocalRateLimitPolicy",
  plural: "httplocalratelimitpolicies",
  versions: [
    {
      name: "v1alpha1",
      columns: [
        { name: "Target_kind", type: "string", jsonPath: ".spec.targetRef.kind" },
        { name: "Target_name", type: "string", jsonPath: ".spec.targetRef.name" },
        { name: "Total_RPS", type: "integer", jsonPath: ".spec.total.requestsPerSecond" },
        { name: "Identity_RPS", type: "integer", jsonPath: ".spec.identity.requestsPerSecond" },
      ],
      spec: ruled(
        object(
          {
            targetRef: object({ group: oneOf(GROUP), kind: oneOf("Server"), name: NAME }, ["kind", "name"]),
            total: RATE,
            identity: RATE,
            overrides: list(
              object(
                {
                  requestsPerSecond: integer(1, 4_294_967_295),
                  clientRefs: list(
                    object(
                      { group: string(), kind: oneOf("ServiceAccount"), namespace: string(), name: NAME },
                      ["kind", "name"],
                    ),
                    { maxItems: 256 },
                  ),
                },
                ["requestsPerSecond", "clientRefs"],
              ),
              { maxItems: 256 },
            ),
          },
          ["targetRef"],
        ),
        [
          "!has(self.total) || !has(self.identity) || self.identity.requestsPerSecond <= self.total.requestsPerSecond",
          `identity.requestsPerSecond ${NO_MORE_THAN_TOTAL}`,
        ],
        [
          "!has(self.total) || !has(self.overrides) || self.overrides.all(o, o.requestsPerSecond <= self.total.requestsPerSecond)",
          `overrides[].requestsPerSecond ${NO_MORE_THAN_TOTAL}`,
        ],
      ),
      status: object({
        conditions: CONDITIONS_STATUS.properties?.["conditions"] ?? {},
        targetRef: object({ group: string(), kind: string(), name: string() }),
      }),
    },
  ],
};

const egressNetwork: Definition = {
  group: GROUP,
  kind: "EgressNetwork",
  plural: "egressnetworks",
  versions: [
    {
      name: "v1alpha1",
      columns: [{ name: "Policy", type: "string", jsonPath: ".spec.trafficPolicy" }],
      spec: object(
        {
          trafficPolicy: described("What happens where no route says anything.", oneOf("Allow", "Deny")),
          networks: described(
            "Where this is; without it, everything outside the cluster's networks.",
            list(NETWORK, { minItems: 1 }),
          ),
        },
        ["trafficPolicy"],
      ),
      status: CONDITIONS_STATUS,
    },
  ],
};

export const POLICY: readonly Definition[] = [
  authorizationPolicy,
  egressNetwork,
  localRateLimit,
  meshTlsAuthentication,
  networkAuthentication,
  server,
  serverAuthorization,
];
