/** Traffic that proxies have counted, as edges: who called which port, and by which route. Pure. */
import { keyOf } from "../model/meta.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { InboundContext } from "./authz.ts";
import type { Edge } from "./edges.ts";
import { PROXY_PORTS, type Asker } from "./question.ts";
import type { Asked } from "./verdict.ts";

/** One series of a proxy's metrics. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What was seen at one port of one pod, from one client by one route. */
export interface ObservedEdge {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
  /** The identity that the client proved; empty: none. */
  readonly client: string;
  readonly protocol: "http" | "tcp";
  /** `group/Kind/name` of the route; empty for a default, and for bytes. */
  readonly route: string;
  readonly allowed: number;
  readonly denied: number;
}

/** The families that tell of authorizations. */
export const AUTHORIZATION_FAMILIES: ReadonlySet<string> = new Set([
  "inbound_http_authz_allow_total",
  "inbound_http_authz_deny_total",
  "inbound_tcp_authz_allow_total",
  "inbound_tcp_authz_deny_total",
]);

/** Defaults that every workload has: they need no policy. */
const OWN_AUTHORIZATIONS: ReadonlySet<string> = new Set(["probe", "localhost"]);

/** The edges in the samples of one pod's proxy. */
export function observedAt(
  samples: readonly Sample[],
  { namespace, name }: { readonly namespace: string; readonly name: string },
): readonly ObservedEdge[] {
  const edges = new Map<string, ObservedEdge>();
  for (const sample of samples) {
    if (!AUTHORIZATION_FAMILIES.has(sample.name)) continue;
    const { labels, value } = sample;
    const port = Number(labels["target_port"]);
    const isOwn = labels["authz_kind"] === "default" && OWN_AUTHORIZATIONS.has(labels["authz_name"] ?? "");
    if (!Number.isInteger(port) || PROXY_PORTS.has(port) || isOwn || value <= 0) continue;
    const client = labels["tls"] === "true" ? (labels["client_id"] ?? "") : "";
    const protocol = sample.name.startsWith("inbound_http") ? "http" : "tcp";
    const { route_group: group = "", route_kind: kind = "default", route_name: routeName = "" } = labels;
    const route = protocol === "tcp" || kind === "default" ? "" : `${group}/${kind}/${routeName}`;
    const key = `${port}/${client}/${protocol}/${route}`;
    const { allowed = 0, denied = 0 } = edges.get(key) ?? {};
    const isAllowed = sample.name.endsWith("allow_total");
    edges.set(key, {
      namespace,
      pod: name,
      port,
      client,
      protocol,
      route,
      allowed: allowed + (isAllowed ? value : 0),
      denied: denied + (isAllowed ? 0 : value),
    });
  }
  return [...edges.values()];
}

/** The account that an identity of this mesh stands for. */
export function accountOfIdentity(
  identity: string,
  { controlPlaneNamespace, trustDomain }: MeshSettings,
): { readonly namespace: string; readonly name: string } | undefined {
  const suffix = `.serviceaccount.identity.${controlPlaneNamespace}.${trustDomain}`;
  if (!identity.endsWith(suffix)) return undefined;
  const labels = identity.slice(0, -suffix.length).split(".");
  const namespace = labels.pop();
  return namespace === undefined || labels.length === 0 ? undefined : { namespace, name: labels.join(".") };
}

function askerOf(client: string, settings: MeshSettings): Asker {
  if (client === "") return { type: "unmeshed" };
  const account = accountOfIdentity(client, settings);
  return account === undefined ? { type: "identity", identity: client } : { type: "account", account };
}

/** A request that follows the route; that of the root where no plain request does. */
function askedOf({ protocol, route, namespace }: ObservedEdge, { snapshot }: InboundContext): Asked {
  if (protocol === "tcp") return { type: "bytes" };
  const [group = "", , name = ""] = route.split("/");
  const found = snapshot.HTTPRoute.get(`${group}/${keyOf({ namespace, name })}`);
  const match = found?.rules[0]?.matches[0];
  const [host] = found?.hosts ?? [];
  const headers = (match?.headers ?? []).filter(({ type }) => type === "Exact");
  return {
    type: "request",
    request: {
      method: match?.method ?? "GET",
      authority: host === undefined ? "" : host.type === "exact" ? host.host : `a.${host.suffix}`,
      path: match === undefined || match.path.type === "RegularExpression" ? "/" : match.path.value,
      query: "",
      headers: new Map(headers.map((header) => [header.name, [header.value]])),
    },
  };
}

/** What was let in, as edges to judge. What was denied is no traffic that anybody relies on. */
export function edgesOf(observed: readonly ObservedEdge[], context: InboundContext): readonly Edge[] {
  return observed
    .filter(({ allowed }) => allowed > 0)
    .map((one) => ({
      from: askerOf(one.client, context.settings),
      to: { of: "Pod", workload: { namespace: one.namespace, name: one.pod }, port: one.port },
      asked: askedOf(one, context),
      isObserved: true,
    }));
}
