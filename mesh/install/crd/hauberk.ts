/** The kinds of `policy.hauberk.io`: what Linkerd does not have. The decoders in `mesh/source/decode` say the same. */
import type { Definition } from "./definition.ts";
import {
  BOOLEAN,
  CONDITIONS_STATUS,
  DURATION,
  NAME,
  PORT,
  described,
  integer,
  list,
  mapOf,
  object,
  oneOf,
  ruled,
  string,
  type Schema,
} from "./schema.ts";

const GROUP = "policy.hauberk.io";

const HEADER_NAME: Schema = string({
  minLength: 1,
  maxLength: 256,
  pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_\x60|~]+$",
});
const POLICY_HEADER_NAME: Schema = { ...HEADER_NAME, maxLength: 128 };
const POLICY_HEADER_NAMES: Schema = list(POLICY_HEADER_NAME, { maxItems: 64 });

const faultInjection: Definition = {
  group: GROUP,
  kind: "HTTPFaultInjection",
  plural: "httpfaultinjections",
  versions: [
    {
      name: "v1alpha1",
      columns: [
        { name: "Target", type: "string", jsonPath: ".spec.targetRef.name" },
        { name: "Percent", type: "number", jsonPath: ".spec.percent" },
        { name: "End", type: "string", jsonPath: ".spec.window.end" },
      ],
      spec: ruled(
        object(
          {
            targetRef: described(
              "The object, in this namespace, whose clients' requests meet the fault.",
              object({ group: string(), kind: oneOf("Service", "HTTPRoute", "GRPCRoute"), name: NAME }, [
                "kind",
                "name",
              ]),
            ),
            percent: described("Share of the requests.", {
              type: "number",
              minimum: 0,
              exclusiveMinimum: true,
              maximum: 100,
              default: 100,
            }),
            delay: described(
              "How long a request waits before anything else is done with it; at most 60s.",
              DURATION,
            ),
            abort: described(
              "The answer in the backend's place.",
              object({
                httpStatus: { ...integer(400, 599), default: 503 },
                grpcStatus: described("Name or number of the code that a gRPC call gets.", {
                  "x-kubernetes-int-or-string": true,
                }),
                message: string({ maxLength: 256 }),
              }),
            ),
            window: described(
              "When the fault holds, by the clock of the client's proxy.",
              ruled(
                object({
                  start: string({ format: "date-time" }),
                  end: string({ format: "date-time" }),
                  duration: DURATION,
                }),
                ["has(self.end) != has(self.duration)", "exactly one of end and duration is required"],
                ["!has(self.duration) || has(self.start)", "a duration needs a start"],
              ),
            ),
            headers: described(
              "Headers of the requests that meet the fault; all must match.",
              list(
                object(
                  {
                    type: { ...oneOf("Exact", "RegularExpression"), default: "Exact" },
                    name: HEADER_NAME,
                    value: string({ maxLength: 4096 }),
                  },
                  ["name", "value"],
                ),
                { maxItems: 16 },
              ),
            ),
            clients: described(
              "Clients that meet the fault; none are all.",
              list(
                object({ kind: oneOf("ServiceAccount"), name: NAME, namespace: string() }, ["kind", "name"]),
                { maxItems: 64 },
              ),
            ),
          },
          ["targetRef", "window"],
        ),
        ["has(self.delay) || has(self.abort)", "a delay or an abort is required"],
      ),
      status: CONDITIONS_STATUS,
    },
  ],
};

const COUNT: Schema = integer(1, 4_294_967_295);
const RATE = { requestsPerSecond: COUNT, burst: COUNT } as const;
const LIMIT: Schema = object(RATE, ["requestsPerSecond"]);

const rateLimit: Definition = {
  group: GROUP,
  kind: "HTTPRateLimitPolicy",
  plural: "httpratelimitpolicies",
  versions: [
    {
      name: "v1alpha1",
      columns: [
        { name: "Target_kind", type: "string", jsonPath: ".spec.targetRef.kind" },
        { name: "Target_name", type: "string", jsonPath: ".spec.targetRef.name" },
        { name: "Scope", type: "string", jsonPath: ".spec.scope" },
        { name: "Total_RPS", type: "integer", jsonPath: ".spec.total.requestsPerSecond" },
      ],
      spec: ruled(
        object(
          {
            targetRef: object(
              { group: string(), kind: oneOf("Server", "HTTPRoute", "GRPCRoute"), name: NAME },
              ["kind", "name"],
            ),
            scope: described("Whether each server counts for itself or the whole cluster together.", {
              ...oneOf("Local", "Cluster"),
              default: "Local",
            }),
            total: LIMIT,
            identity: LIMIT,
            overrides: list(
              object(
                {
                  ...RATE,
                  clientRefs: list(
                    object(
                      {
                        group: oneOf("", "core"),
                        kind: oneOf("ServiceAccount"),
                        name: NAME,
                        namespace: string({ minLength: 1 }),
                      },
                      ["kind", "name"],
                    ),
                    { minItems: 1, maxItems: 256 },
                  ),
                },
                ["requestsPerSecond", "clientRefs"],
              ),
              { maxItems: 64 },
            ),
            header: object({ ...RATE, name: HEADER_NAME, maxValues: integer(1, 4_096) }, [
              "requestsPerSecond",
              "name",
            ]),
          },
          ["targetRef"],
        ),
        [
          "has(self.total) || has(self.identity) || has(self.overrides) || has(self.header)",
          "limits nothing: give total, identity, overrides or header",
        ],
        [
          "self.scope != 'Cluster' || (has(self.total) && !has(self.identity) && !has(self.overrides) && !has(self.header))",
          "scope Cluster needs total and knows nothing else",
        ],
      ),
      status: CONDITIONS_STATUS,
    },
  ],
};

const headerAuthentication: Definition = {
  group: GROUP,
  kind: "HeaderAuthentication",
  plural: "headerauthentications",
  versions: [
    {
      name: "v1alpha1",
      spec: object(
        {
          headers: described(
            "Conditions on headers of the request; all must hold.",
            list(
              ruled(
                object(
                  {
                    name: POLICY_HEADER_NAME,
                    type: {
                      ...oneOf("Exact", "Prefix", "RegularExpression", "Present", "NotPresent"),
                      default: "Exact",
                    },
                    value: string({ maxLength: 1024 }),
                    values: list(string({ maxLength: 1024 }), { minItems: 1, maxItems: 64 }),
                  },
                  ["name"],
                ),
                ["!(has(self.value) && has(self.values))", "value and values exclude each other"],
                [
                  "self.type in ['Present', 'NotPresent'] ? !has(self.value) && !has(self.values) : has(self.value) || has(self.values)",
                  "value or values is required, but for Present and NotPresent, which have none",
                ],
              ),
              { minItems: 1, maxItems: 32 },
            ),
          ),
        },
        ["headers"],
      ),
      status: CONDITIONS_STATUS,
    },
  ],
};

const CLAIM = {
  claim: string({ minLength: 1, maxLength: 1024 }),
  path: list(string({ minLength: 1, maxLength: 1024 }), { minItems: 1, maxItems: 8 }),
} as const;

const CLAIM_RULE = [
  "has(self.claim) != has(self.path)",
  "exactly one of claim and path is required",
] as const;

const jwtAuthentication: Definition = {
  group: GROUP,
  kind: "JWTAuthentication",
  plural: "jwtauthentications",
  shortNames: ["jwtauthn"],
  versions: [
    {
      name: "v1alpha1",
      columns: [{ name: "Issuer", type: "string", jsonPath: ".spec.issuer" }],
      spec: object(
        {
          issuer: string({ minLength: 1, maxLength: 1024 }),
          audiences: list(string({ minLength: 1, maxLength: 1024 }), { minItems: 1, maxItems: 64 }),
          jwks: described("The keys: a JSON Web Key Set, as an object or as text.", {
            "x-kubernetes-preserve-unknown-fields": true,
          }),
          jwksUri: string({ maxLength: 2048, pattern: "^https://" }),
          jwksRefresh: DURATION,
          caBundle: described("PEM of who signs the certificate of jwksUri.", string({ maxLength: 65_536 })),
          algorithms: list(
            oneOf("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"),
            { minItems: 1 },
          ),
          clockSkewSeconds: integer(0, 300),
          from: described(
            "Where the token is; without it, in `authorization: Bearer`.",
            list(
              object(
                {
                  header: object({ name: POLICY_HEADER_NAME, prefix: string({ maxLength: 64 }) }, ["name"]),
                  cookie: object({ name: string({ minLength: 1, maxLength: 128 }) }, ["name"]),
                },
                [],
                { oneOf: [{ required: ["header"] }, { required: ["cookie"] }] },
              ),
              { minItems: 1, maxItems: 8 },
            ),
          ),
          claims: list(
            ruled(
              object({
                ...CLAIM,
                anyOf: list({ "x-kubernetes-preserve-unknown-fields": true }, { minItems: 1, maxItems: 64 }),
                contains: list(string({ minLength: 1, maxLength: 1024 }), { minItems: 1, maxItems: 64 }),
              }),
              CLAIM_RULE,
            ),
            { maxItems: 32 },
          ),
          forwardToken: BOOLEAN,
          claimHeaders: list(
            ruled(object({ header: POLICY_HEADER_NAME, ...CLAIM }, ["header"]), CLAIM_RULE),
            {
              maxItems: 32,
            },
          ),
        },
        ["issuer", "audiences"],
        { oneOf: [{ required: ["jwks"] }, { required: ["jwksUri"] }] },
      ),
      status: CONDITIONS_STATUS,
    },
  ],
};

const externalAuthorization: Definition = {
  group: GROUP,
  kind: "ExternalAuthorization",
  plural: "externalauthorizations",
  shortNames: ["extauthz"],
  versions: [
    {
      name: "v1alpha1",
      columns: [{ name: "Service", type: "string", jsonPath: ".spec.backendRef.name" }],
      spec: object(
        {
          backendRef: described(
            "The Service that decides.",
            object(
              {
                group: oneOf("", "core"),
                kind: oneOf("Service"),
                name: NAME,
                namespace: string({ minLength: 1 }),
                port: PORT,
              },
              ["name", "port"],
            ),
          ),
          timeout: DURATION,
          cache: DURATION,
          failurePolicy: described("What happens to a request that cannot be judged.", {
            ...oneOf("Deny", "dangerousAllow"),
            default: "Deny",
          }),
          requestHeaders: POLICY_HEADER_NAMES,
          setHeaders: POLICY_HEADER_NAMES,
          context: mapOf(string({ maxLength: 1024 }), { maxProperties: 64 }),
        },
        ["backendRef"],
      ),
      status: CONDITIONS_STATUS,
    },
  ],
};

export const HAUBERK: readonly Definition[] = [
  externalAuthorization,
  faultInjection,
  headerAuthentication,
  jwtAuthentication,
  rateLimit,
];
