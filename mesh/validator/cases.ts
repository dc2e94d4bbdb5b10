/** For tests: of every kind an object that is right, and for every rule one that breaks it and no other. */

/** An object that breaks one rule. */
interface Case {
  readonly rule: string;
  readonly object: string;
  readonly says: RegExp;
}

interface Shape {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name?: string;
  readonly annotations?: string;
}

function write({ apiVersion, kind, name = "new", annotations = "{}" }: Shape, spec: string): string {
  return `apiVersion: ${apiVersion}
kind: ${kind}
metadata: {name: ${name}, namespace: shop, annotations: ${annotations}}
spec: ${spec}`;
}

const shape =
  (apiVersion: string, kind: string) =>
  (spec: string, more: Partial<Shape> = {}) =>
    write({ apiVersion, kind, ...more }, spec);

const server = shape("policy.linkerd.io/v1beta3", "Server");
const serverAuthorization = shape("policy.linkerd.io/v1beta1", "ServerAuthorization");
const policy = shape("policy.linkerd.io/v1alpha1", "AuthorizationPolicy");
const meshTls = shape("policy.linkerd.io/v1alpha1", "MeshTLSAuthentication");
const networkAuthn = shape("policy.linkerd.io/v1alpha1", "NetworkAuthentication");
const egress = shape("policy.linkerd.io/v1alpha1", "EgressNetwork");
const localLimit = shape("policy.linkerd.io/v1alpha1", "HTTPLocalRateLimitPolicy");
const limit = shape("policy.hauberk.io/v1alpha1", "HTTPRateLimitPolicy");
const fault = shape("policy.hauberk.io/v1alpha1", "HTTPFaultInjection");
const headers = shape("policy.hauberk.io/v1alpha1", "HeaderAuthentication");
const jwt = shape("policy.hauberk.io/v1alpha1", "JWTAuthentication");
const external = shape("policy.hauberk.io/v1alpha1", "ExternalAuthorization");
const linkerdRoute = shape("policy.linkerd.io/v1beta3", "HTTPRoute");
const httpRoute = shape("gateway.networking.k8s.io/v1", "HTTPRoute");
const grpcRoute = shape("gateway.networking.k8s.io/v1", "GRPCRoute");
const tlsRoute = shape("gateway.networking.k8s.io/v1alpha2", "TLSRoute");
const tcpRoute = shape("gateway.networking.k8s.io/v1alpha2", "TCPRoute");
const profile = shape("linkerd.io/v1alpha2", "ServiceProfile");
const workload = shape("workload.linkerd.io/v1beta1", "ExternalWorkload");

const ON_SERVICE = 'parentRefs: [{group: "", kind: Service, name: web, port: 80}]';
const ON_SERVER = "parentRefs: [{group: policy.linkerd.io, kind: Server, name: web}]";
const ON_NETWORK = "parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet, port: 443}]";
const TO_WEB = "backendRefs: [{name: web, port: 80}]";
const TO_NETWORK = "backendRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet}]";
const OF_SERVER = "targetRef: {group: policy.linkerd.io, kind: Server, name: web}";
const WINDOW = 'window: {end: "2030-01-01T00:00:00Z"}';
const NAMED = { name: "web.shop.svc.cluster.local" };
const RULE = "{name: get, condition: {method: GET}}";
const TLS = "meshTLS: {identity: spiffe://cluster.local/vm, serverName: vm.cluster.local}";
const CLIENTS =
  "requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: clients}]";

export const VALID: readonly string[] = [
  server("{podSelector: {matchLabels: {app: web}}, port: admin, proxyProtocol: HTTP/1, accessPolicy: audit}"),
  serverAuthorization(
    "{server: {name: web}, client: {networks: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}], meshTLS: {serviceAccounts: [{name: a}]}}}",
  ),
  policy(`{${OF_SERVER}, ${CLIENTS}}`),
  meshTls("{identityRefs: [{kind: ServiceAccount, name: a}, {kind: Namespace, name: b}]}"),
  networkAuthn("{networks: [{cidr: fd00::/8, except: [fd00:1::/32]}]}"),
  egress("{trafficPolicy: Allow, networks: [{cidr: 192.0.2.0/24}]}"),
  localLimit(
    "{targetRef: {group: policy.linkerd.io, kind: Server, name: web}, total: {requestsPerSecond: 10}, identity: {requestsPerSecond: 10}, overrides: [{requestsPerSecond: 9, clientRefs: [{kind: ServiceAccount, name: a}]}]}",
    { name: "first" },
  ),
  limit(`{${OF_SERVER}, total: {requestsPerSecond: 10, burst: 20}}`),
  fault(`{targetRef: {kind: Service, name: web}, delay: 1s, ${WINDOW}}`),
  headers("{headers: [{name: x-role, value: admin}]}"),
  jwt("{issuer: https://issuer.test, audiences: [a], jwksUri: https://issuer.test/keys}"),
  external("{backendRef: {name: authz, port: 9191}}"),
  linkerdRoute(
    `{${ON_SERVER}, rules: [{matches: [{path: {type: RegularExpression, value: "/a|/b(?i:c)"}}]}]}`,
  ),
  httpRoute(`{${ON_SERVICE}, rules: [{${TO_WEB}, timeouts: {request: 2s, backendRequest: 1s}}]}`, {
    annotations: "{retry.linkerd.io/http: 5xx}",
  }),
  httpRoute(
    `{${ON_NETWORK}, rules: [{backendRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet}]}]}`,
  ),
  grpcRoute(`{${ON_SERVICE}, rules: [{matches: [{method: {service: a.B}}], ${TO_WEB}}]}`),
  tlsRoute(`{${ON_NETWORK}, hostnames: [a.test], rules: [{${TO_NETWORK}}]}`),
  tcpRoute(`{${ON_NETWORK}, rules: [{${TO_NETWORK}}]}`),
  profile(`{routes: [${RULE}], dstOverrides: [{authority: web.shop.svc.cluster.local, weight: 1}]}`, NAMED),
  workload(`{${TLS}, ports: [{name: http, port: 80}, {port: 81}], workloadIPs: [{ip: 192.0.2.1}]}`),
];

const SERVERS: readonly Case[] = [
  {
    rule: "a Server selects pods or external workloads, not both",
    object: server("{podSelector: {}, externalWorkloadSelector: {}, port: 80}"),
    says: /^error spec\.podSelector: exactly one of podSelector and externalWorkloadSelector/,
  },
  {
    rule: "a Server's port is a port",
    object: server("{podSelector: {matchLabels: {app: x}}, port: 70000}"),
    says: /^error spec\.port: /,
  },
  {
    rule: "a Server's protocol is one of those that exist",
    object: server("{podSelector: {matchLabels: {app: x}}, port: 80, proxyProtocol: HTTP/3}"),
    says: /^error spec\.proxyProtocol: /,
  },
  {
    rule: "a Server's access policy is one of those that exist",
    object: server("{podSelector: {matchLabels: {app: x}}, port: 80, accessPolicy: allow}"),
    says: /^error spec\.accessPolicy: /,
  },
  {
    rule: "two Servers do not select one port by the same words",
    object: server("{podSelector: {matchLabels: {app: web}}, port: http}"),
    says: /^error spec\.podSelector: Server shop\/web already selects port http of the same workloads$/,
  },
  {
    rule: "two Servers do not select one port of a pod by different words",
    object: server("{podSelector: {matchLabels: {tier: front}}, port: 8080}"),
    says: /^error spec\.podSelector: Server shop\/web already selects Pod shop\/web-0 port 8080$/,
  },
  {
    rule: "a selector's labels are labels",
    object: server("{podSelector: {matchLabels: {app: no value}}, port: 80}"),
    says: /^error spec\.podSelector\.matchLabels\.app: "no value" is no value of a label$/,
  },
  {
    rule: "a selector's expressions are about labels",
    object: server("{podSelector: {matchExpressions: [{key: a/b/c, operator: Exists}]}, port: 81}"),
    says: /^error spec\.podSelector\.matchExpressions\[0\]\.key: "a\/b\/c" is no label$/,
  },
];

const AUTHORIZATIONS: readonly Case[] = [
  {
    rule: "a ServerAuthorization says by one word of two which Server it is for",
    object: serverAuthorization("{server: {name: web, selector: {}}, client: {unauthenticated: true}}"),
    says: /^error spec\.server: exactly one of name and selector is required/,
  },
  {
    rule: "a ServerAuthorization says who the client is",
    object: serverAuthorization("{server: {name: web}, client: {}}"),
    says: /^error spec\.client: one of unauthenticated and meshTLS is required/,
  },
  {
    rule: "clients are not unauthenticated and known by mTLS at once",
    object: serverAuthorization(
      '{server: {name: web}, client: {unauthenticated: true, meshTLS: {identities: ["*"]}}}',
    ),
    says: /^error spec\.client\.unauthenticated: must not be true beside meshTLS/,
  },
  {
    rule: "clients without a certificate are not known by an identity",
    object: serverAuthorization(
      '{server: {name: web}, client: {meshTLS: {unauthenticatedTLS: true, identities: ["*"]}}}',
    ),
    says: /^error spec\.client\.meshTLS\.unauthenticatedTLS: must not be true beside/,
  },
  {
    rule: "an exception lies in its network",
    object: serverAuthorization(
      "{server: {name: web}, client: {unauthenticated: true, networks: [{cidr: 10.0.0.0/8, except: [11.0.0.0/16]}]}}",
    ),
    says: /^error spec\.client\.networks\[0\]\.except\[0\]: 11\.0\.0\.0\/16 does not lie in 10\.0\.0\.0\/8$/,
  },
  {
    rule: "an account can have an identity",
    object: serverAuthorization(
      "{server: {name: web}, client: {meshTLS: {serviceAccounts: [{name: a, namespace: a.b}]}}}",
    ),
    says: /^error spec\.client\.meshTLS\.serviceAccounts: ServiceAccount a\.b\/a can have no identity$/,
  },
  {
    rule: "an authorization that names nobody is worth a word",
    object: serverAuthorization("{server: {name: web}, client: {meshTLS: {}}}"),
    says: /^warning spec\.client\.meshTLS: names nobody/,
  },
  {
    rule: "an authorization of a Server that is not there is worth a word",
    object: serverAuthorization("{server: {name: gone}, client: {unauthenticated: true}}"),
    says: /^warning spec\.server\.name: Server shop\/gone does not exist yet/,
  },
  {
    rule: "a policy targets a kind that can be targeted",
    object: policy(`{targetRef: {kind: Service, name: web}, ${CLIENTS}}`),
    says: /^error spec\.targetRef\.kind: \/Service is not a kind that a policy can target$/,
  },
  {
    rule: "a policy targets its own namespace only",
    object: policy(`{targetRef: {kind: Namespace, name: other}, ${CLIENTS}}`),
    says: /^error spec\.targetRef\.name: a policy can only target its own Namespace shop$/,
  },
  {
    rule: "a target that is not there is worth a word",
    object: policy(`{targetRef: {group: policy.linkerd.io, kind: Server, name: gone}, ${CLIENTS}}`),
    says: /^warning spec\.targetRef\.name: Server shop\/gone does not exist yet/,
  },
  {
    rule: "a target route that is on no Server is worth a word",
    object: policy(
      `{targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: on-service}, ${CLIENTS}}`,
    ),
    says: /^warning spec\.targetRef\.name: HTTPRoute shop\/on-service attaches to no Server/,
  },
  {
    rule: "a policy requires at most one of MeshTLSAuthentication and ServiceAccount",
    object: policy(
      `{${OF_SERVER}, requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: clients}, {kind: ServiceAccount, name: a}]}`,
    ),
    says: /^error spec\.requiredAuthenticationRefs: at most one MeshTLSAuthentication or ServiceAccount$/,
  },
  {
    rule: "a policy requires at most one NetworkAuthentication",
    object: policy(
      `{${OF_SERVER}, requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: NetworkAuthentication, name: a}, {group: policy.linkerd.io, kind: NetworkAuthentication, name: b}]}`,
    ),
    says: /^error spec\.requiredAuthenticationRefs: at most one NetworkAuthentication$/,
  },
  {
    rule: "a policy requires kinds of authentication",
    object: policy(`{${OF_SERVER}, requiredAuthenticationRefs: [{group: a.test, kind: Magic, name: a}]}`),
    says: /^error spec\.requiredAuthenticationRefs\[0\]\.kind: a\.test\/Magic is not a kind of authentication$/,
  },
  {
    rule: "a required authentication that is not there is worth a word",
    object: policy(
      `{${OF_SERVER}, requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: gone}]}`,
    ),
    says: /^warning spec\.requiredAuthenticationRefs\[0\]\.name: .*admits nobody$/,
  },
  {
    rule: "a MeshTLSAuthentication names identities or references, not both",
    object: meshTls('{identities: ["*"], identityRefs: [{kind: Namespace, name: a}]}'),
    says: /^error spec\.identities: exactly one of identities and identityRefs is required$/,
  },
  {
    rule: "an identity is a name, a suffix or everybody",
    object: meshTls('{identities: ["a*b"]}'),
    says: /^error spec\.identities\[0\]: must be an identity/,
  },
  {
    rule: "a reference to an identity is to an account or a namespace",
    object: meshTls("{identityRefs: [{kind: Pod, name: a}]}"),
    says: /^error spec\.identityRefs\[0\]\.kind: /,
  },
  {
    rule: "a reference to an identity can have one",
    object: meshTls("{identityRefs: [{kind: Namespace, name: A_b}]}"),
    says: /^error spec\.identityRefs: "A_b" is no namespace$/,
  },
  {
    rule: "networks are in CIDR notation",
    object: networkAuthn("{networks: [{cidr: 10.0.0.0/33}]}"),
    says: /^error spec\.networks\[0\]\.cidr: "10\.0\.0\.0\/33" is not a network/,
  },
  {
    rule: "an exception leaves something of its network",
    object: networkAuthn("{networks: [{cidr: 10.0.0.0/8, except: [0.0.0.0/0]}]}"),
    says: /^error spec\.networks\[0\]\.except\[0\]: 0\.0\.0\.0\/0 takes all of 10\.0\.0\.0\/8 away$/,
  },
  {
    rule: "a header is judged by a value or by values",
    object: headers("{headers: [{name: x-role, value: a, values: [b]}]}"),
    says: /^error spec\.headers\[0\]\.values: /,
  },
  {
    rule: "an issuer's keys have a source",
    object: jwt("{issuer: https://issuer.test, audiences: [a]}"),
    says: /^error spec\.jwks/,
  },
  {
    rule: "a service that is asked exists, or that is worth a word",
    object: external("{backendRef: {name: gone, port: 1}}"),
    says: /^warning spec\.backendRef\.name: Service shop\/gone does not exist yet/,
  },
  {
    rule: "a service that is asked has the port, or that is worth a word",
    object: external("{backendRef: {name: authz, port: 1}}"),
    says: /^warning spec\.backendRef\.port: Service shop\/authz has no port 1/,
  },
];

const LIMITS: readonly Case[] = [
  {
    rule: "an identity's limit is not above the total",
    object: localLimit(
      "{targetRef: {kind: Server, name: web}, total: {requestsPerSecond: 1}, identity: {requestsPerSecond: 2}}",
      { name: "first" },
    ),
    says: /^error spec\.identity\.requestsPerSecond: must not be above total\.requestsPerSecond$/,
  },
  {
    rule: "an override is not above the total",
    object: localLimit(
      "{targetRef: {kind: Server, name: web}, total: {requestsPerSecond: 1}, overrides: [{requestsPerSecond: 2, clientRefs: [{kind: ServiceAccount, name: a}]}]}",
      { name: "first" },
    ),
    says: /^error spec\.overrides\[0\]\.requestsPerSecond: must not be above total/,
  },
  {
    rule: "a limit is above zero",
    object: localLimit("{targetRef: {kind: Server, name: web}, total: {requestsPerSecond: 0}}", {
      name: "first",
    }),
    says: /^error spec\.total\.requestsPerSecond: /,
  },
  {
    rule: "a limit's target is a Server",
    object: localLimit("{targetRef: {kind: Service, name: web}, total: {requestsPerSecond: 1}}"),
    says: /^error spec\.targetRef\.kind: /,
  },
  {
    rule: "an override names clients",
    object: localLimit(
      "{targetRef: {kind: Server, name: web}, overrides: [{requestsPerSecond: 2, clientRefs: []}]}",
      { name: "first" },
    ),
    says: /^error spec\.overrides\[0\]\.clientRefs: names no client$/,
  },
  {
    rule: "a policy that limits nothing is worth a word",
    object: localLimit("{targetRef: {kind: Server, name: web}}", { name: "first" }),
    says: /^warning spec: limits nothing/,
  },
  {
    rule: "a second policy of one Server is worth a word",
    object: localLimit("{targetRef: {kind: Server, name: web}, total: {requestsPerSecond: 1}}"),
    says: /^warning spec\.targetRef\.name: HTTPLocalRateLimitPolicy shop\/first limits this Server/,
  },
  {
    rule: "a limit where there are no requests is worth a word",
    object: localLimit("{targetRef: {kind: Server, name: bytes}, total: {requestsPerSecond: 1}}"),
    says: /^warning spec\.targetRef\.name: Server bytes speaks opaque/,
  },
  {
    rule: "a limit of a Server that is not there is worth a word",
    object: localLimit("{targetRef: {kind: Server, name: gone}, total: {requestsPerSecond: 1}}"),
    says: /^warning spec\.targetRef\.name: Server shop\/gone does not exist yet/,
  },
  {
    rule: "a limit for the whole cluster counts in total only",
    object: limit(
      `{${OF_SERVER}, scope: Cluster, total: {requestsPerSecond: 1}, identity: {requestsPerSecond: 1}}`,
    ),
    says: /^error spec\.identity: is counted by each server only/,
  },
  {
    rule: "a kind of our own has no fields that are not known",
    object: limit(`{${OF_SERVER}, total: {requestsPerSecond: 1}, totel: 1}`),
    says: /^error spec: .*totel/,
  },
  {
    rule: "a limit of a route that is not there is worth a word",
    object: limit("{targetRef: {kind: GRPCRoute, name: gone}, total: {requestsPerSecond: 1}}"),
    says: /^warning spec\.targetRef\.name: GRPCRoute shop\/gone does not exist yet/,
  },
  {
    rule: "a fault ends",
    object: fault("{targetRef: {kind: Service, name: web}, delay: 1s, window: {}}"),
    says: /^error spec\.window: a fault needs an end/,
  },
  {
    rule: "a fault does something",
    object: fault(`{targetRef: {kind: Service, name: web}, ${WINDOW}}`),
    says: /^error spec\.abort: a delay or an abort is required$/,
  },
  {
    rule: "a fault of a service that is not there is worth a word",
    object: fault(`{targetRef: {kind: Service, name: gone}, delay: 1s, ${WINDOW}}`),
    says: /^warning spec\.targetRef\.name: Service shop\/gone does not exist yet/,
  },
  {
    rule: "a network that denies or allows says which",
    object: egress("{networks: [{cidr: 192.0.2.0/24}]}"),
    says: /^error spec\.trafficPolicy: /,
  },
  {
    rule: "an EgressNetwork inside of the cluster is worth a word",
    object: egress("{trafficPolicy: Deny, networks: [{cidr: 10.1.0.0/16}]}"),
    says: /^warning spec\.networks\[0\]\.cidr: 10\.1\.0\.0\/16 lies in the cluster's network/,
  },
];

const ROUTES: readonly Case[] = [
  {
    rule: "a route of an EgressNetwork names its port",
    object: httpRoute(
      "{parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet}], rules: [{}]}",
    ),
    says: /^error spec\.parentRefs\[0\]\.port: a route of an EgressNetwork must name its port/,
  },
  {
    rule: "a Server takes routes of its own namespace",
    object: linkerdRoute(
      "{parentRefs: [{group: policy.linkerd.io, kind: Server, name: web, namespace: other}], rules: [{}]}",
    ),
    says: /^error spec\.parentRefs\[0\]\.kind: a Server takes routes of its own namespace/,
  },
  {
    rule: "a Server takes no routes for bytes",
    object: tcpRoute(`{${ON_SERVER}, rules: [{}]}`),
    says: /^error spec\.parentRefs\[0\]\.kind: a Server takes no TCPRoute$/,
  },
  {
    rule: "a parent that is not there is worth a word",
    object: grpcRoute('{parentRefs: [{group: "", kind: Service, name: gone, port: 80}], rules: [{}]}'),
    says: /^warning spec\.parentRefs\[0\]\.name: Service shop\/gone not found$/,
  },
  {
    rule: "a port that a parent has not is worth a word",
    object: grpcRoute('{parentRefs: [{group: "", kind: Service, name: web, port: 81}], rules: [{}]}'),
    says: /^warning spec\.parentRefs\[0\]\.name: Service shop\/web has no port 81$/,
  },
  {
    rule: "a backend names its port",
    object: httpRoute(`{${ON_SERVICE}, rules: [{backendRefs: [{name: web}]}]}`),
    says: /^error spec\.rules\[0\]\.backendRefs\[0\]\.port: Service shop\/web is named without a port$/,
  },
  {
    rule: "a backend that is not there is worth a word",
    object: tlsRoute(`{${ON_NETWORK}, rules: [{backendRefs: [{name: gone, port: 1}]}]}`),
    says: /^warning spec\.rules\[0\]\.backendRefs\[0\]\.name: Service shop\/gone not found/,
  },
  {
    rule: "a backend of another kind is worth a word in the Gateway API's routes",
    object: httpRoute(`{${ON_SERVICE}, rules: [{backendRefs: [{kind: Bucket, group: a.test, name: b}]}]}`),
    says: /^warning spec\.rules\[0\]\.backendRefs\[0\]\.kind: Bucket shop\/b cannot be a backend$/,
  },
  {
    rule: "a backend of another kind is refused in Linkerd's routes",
    object: linkerdRoute(`{${ON_SERVICE}, rules: [{backendRefs: [{kind: Bucket, group: a.test, name: b}]}]}`),
    says: /^error spec\.rules\[0\]\.backendRefs\[0\]\.kind: /,
  },
  {
    rule: "a backend of a route on a Server is worth a word",
    object: linkerdRoute(`{${ON_SERVER}, rules: [{${TO_WEB}}]}`),
    says: /^warning spec\.rules\[0\]\.backendRefs: has no effect on a Server/,
  },
  {
    rule: "an unknown filter is refused in Linkerd's routes",
    object: linkerdRoute(`{${ON_SERVICE}, rules: [{filters: [{type: ExtensionRef}]}]}`),
    says: /^error spec\.rules\[0\]\.filters\[0\]\.type: filter ExtensionRef is not supported/,
  },
  {
    rule: "an unknown filter is worth a word in the Gateway API's routes",
    object: grpcRoute(`{${ON_SERVICE}, rules: [{filters: [{type: ExtensionRef}]}]}`),
    says: /^warning spec\.rules\[0\]\.filters\[0\]\.type: /,
  },
  {
    rule: "a mirror does not exist on a Server",
    object: httpRoute(
      `{${ON_SERVER}, rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: web, port: 80}}}]}]}`,
    ),
    says: /^error spec\.rules\[0\]\.filters\[0\]\.type: filter RequestMirror does not exist on a Server$/,
  },
  {
    rule: "a match of an unknown type is worth a word in the Gateway API's routes",
    object: httpRoute(`{${ON_SERVICE}, rules: [{matches: [{path: {type: Fuzzy, value: /a}}]}]}`),
    says: /^warning spec\.rules\[0\]: path match of type Fuzzy is not supported/,
  },
  {
    rule: "an attempt does not take longer than its request",
    object: httpRoute(`{${ON_SERVICE}, rules: [{timeouts: {request: 1s, backendRequest: 2s}}]}`),
    says: /^error spec\.rules\[0\]\.timeouts\.backendRequest: must not be longer than timeouts\.request$/,
  },
  {
    rule: "a path starts with a slash",
    object: httpRoute(`{${ON_SERVICE}, rules: [{matches: [{path: {value: a}}]}]}`),
    says: /^error spec\.rules\[0\]\.matches\[0\]\.path\.value: must start with a slash$/,
  },
  {
    rule: "an expression for a path is one of the proxy's",
    object: httpRoute(
      `{${ON_SERVICE}, rules: [{matches: [{path: {type: RegularExpression, value: "/a(?=b)"}}]}]}`,
    ),
    says: /^error spec\.rules\[0\]\.matches\[0\]\.path\.value: .*no lookaround$/,
  },
  {
    rule: "an expression for a header is one",
    object: httpRoute(
      `{${ON_SERVICE}, rules: [{matches: [{headers: [{type: RegularExpression, name: a, value: "("}]}]}]}`,
    ),
    says: /^error spec\.rules\[0\]\.matches\[0\]\.headers\[0\]\.value: "\(" is not a regular expression$/,
  },
  {
    rule: "an expression for a method is one",
    object: grpcRoute(
      `{${ON_SERVICE}, rules: [{matches: [{method: {type: RegularExpression, service: 'a\\1'}}]}]}`,
    ),
    says: /^error spec\.rules\[0\]\.matches\[0\]\.method: .*no backreferences$/,
  },
  {
    rule: "annotations of retries are understood",
    object: httpRoute(`{${ON_SERVICE}, rules: [{}]}`, { annotations: "{retry.linkerd.io/http: often}" }),
    says: /^error metadata\.annotations\.retry\.linkerd\.io\/http: "often" is not understood$/,
  },
  {
    rule: "a status of a redirect is one that redirects",
    object: httpRoute(
      `{${ON_SERVICE}, rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]}]}`,
    ),
    says: /^error spec\.rules\[0\]\.filters\[0\].*statusCode/,
  },
  {
    rule: "a server name is no address",
    object: tlsRoute(`{${ON_NETWORK}, hostnames: [192.0.2.1], rules: [{}]}`),
    says: /^error spec\.hostnames\[0\]: is an address/,
  },
];

const NAMES: readonly Case[] = [
  {
    rule: "a ServiceProfile is named by the full name of its service",
    object: profile(`{routes: [${RULE}]}`, { name: "web" }),
    says: /^error metadata\.name: must be the full name of a service/,
  },
  {
    rule: "a ServiceProfile of a service that is not there is worth a word",
    object: profile(`{routes: [${RULE}]}`, { name: "gone.shop.svc.cluster.local" }),
    says: /^warning metadata\.name: Service shop\/gone does not exist yet$/,
  },
  {
    rule: "a ServiceProfile of another cluster's domain is worth a word",
    object: profile(`{routes: [${RULE}]}`, { name: "web.shop.svc.other.test" }),
    says: /^warning metadata\.name: the cluster's services end in \.svc\.cluster\.local$/,
  },
  {
    rule: "a profile's routes have names of their own",
    object: profile(`{routes: [${RULE}, ${RULE}]}`, NAMED),
    says: /^error spec\.routes\[1\]\.name: "get" names two routes$/,
  },
  {
    rule: "a profile's route has a condition",
    object: profile("{routes: [{name: a}]}", NAMED),
    says: /^error spec\.routes\[0\]\.condition: /,
  },
  {
    rule: "a condition says something",
    object: profile("{routes: [{name: a, condition: {}}]}", NAMED),
    says: /^error spec\.routes\[0\]\.condition: /,
  },
  {
    rule: "a condition's path is an expression of the proxy's",
    object: profile('{routes: [{name: a, condition: {not: {pathRegex: "/(?!a)"}}}]}', NAMED),
    says: /^error spec\.routes\[0\]\.condition: .*no lookaround$/,
  },
  {
    rule: "a class of responses is not empty",
    object: profile(
      "{routes: [{name: a, condition: {method: GET}, responseClasses: [{condition: {status: {min: 500, max: 400}}}]}]}",
      NAMED,
    ),
    says: /^error spec\.routes\[0\]\.responseClasses\[0\]\.condition: status from 500 to 400 is none$/,
  },
  {
    rule: "a retry budget has all its parts",
    object: profile(`{routes: [${RULE}], retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 10}}`, NAMED),
    says: /^error spec\.retryBudget\.ttl: /,
  },
  {
    rule: "an ExternalWorkload says who it is",
    object: workload("{ports: [{port: 80}]}"),
    says: /^error spec\.meshTLS: is required$/,
  },
  {
    rule: "an ExternalWorkload's identity is a SPIFFE ID or a DNS name",
    object: workload("{meshTLS: {identity: spiffe://cluster.local, serverName: vm.cluster.local}}"),
    says: /^error spec\.meshTLS\.identity: must be a SPIFFE ID/,
  },
  {
    rule: "an ExternalWorkload's server name is a full DNS name",
    object: workload("{meshTLS: {identity: spiffe://cluster.local/vm, serverName: vm}}"),
    says: /^error spec\.meshTLS\.serverName: must be a full DNS name$/,
  },
  {
    rule: "an ExternalWorkload has one address",
    object: workload(`{${TLS}, workloadIPs: [{ip: 192.0.2.1}, {ip: 192.0.2.2}]}`),
    says: /^error spec\.workloadIPs: /,
  },
  {
    rule: "an ExternalWorkload's ports have names of their own",
    object: workload(`{${TLS}, ports: [{name: a, port: 1}, {name: a, port: 2}]}`),
    says: /^error spec\.ports\[1\]\.name: a names two ports$/,
  },
  {
    rule: "an ExternalWorkload's ports differ",
    object: workload(`{${TLS}, ports: [{name: a, port: 1}, {name: b, port: 1}]}`),
    says: /^error spec\.ports\[1\]\.port: 1\/TCP is there twice$/,
  },
];

export const CASES: readonly Case[] = [...SERVERS, ...AUTHORIZATIONS, ...LIMITS, ...ROUTES, ...NAMES];
