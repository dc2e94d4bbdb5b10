/** The authorizations in force at ports, as `hauberk authz` lists them. Pure. */
import type { Authz, Server as WireServer } from "../api/gen/inbound_pb.ts";
import { bitsOfWireIp } from "../api/wire.ts";
import { formatIp } from "../model/address.ts";
import type { InboundContext } from "./authz.ts";
import { inboundPolicy } from "./inbound.ts";
import type { WorkloadPort } from "./question.ts";
import { groundOf, serverGround, type Ground } from "./verdict.ts";

/** One authorization at one port; the last two are empty where nobody is let in. */
export interface AuthorizationRow {
  readonly port: number;
  readonly server: Ground;
  /** The route that it holds for; absent: all that the Server takes. */
  readonly route: Ground | undefined;
  /** The policy or default that lets somebody in; absent: nobody is. */
  readonly by: Ground | undefined;
  readonly clients: string;
}

/** From where, unless from everywhere. */
function networksOf({ networks }: Authz): string {
  const named = networks.flatMap(({ net, except }) => {
    const address = bitsOfWireIp(net?.ip);
    if (address === undefined || net === undefined) return [];
    return [`${formatIp(address)}/${net.prefixLen}${except.length === 0 ? "" : " with exceptions"}`];
  });
  if (named.length === 0) return " from nowhere";
  return named.includes("0.0.0.0/0") ? "" : ` from ${named.join(", ")}`;
}

/** Who an authorization is for, in a few words. */
function clientsOf({ authentication }: Authz): string {
  const permit = authentication?.permit;
  switch (permit?.case) {
    case undefined:
      return "nobody";
    case "unauthenticated":
      return "all";
    case "meshTLS": {
      const { clients } = permit.value;
      switch (clients.case) {
        case undefined:
          return "nobody";
        case "unauthenticated":
          return "all with mesh TLS";
        case "identities": {
          const suffixes = clients.value.suffixes.map(({ parts }) => ["*", ...parts].join("."));
          const names = [...clients.value.identities.map(({ name }) => name), ...suffixes];
          return names.length === 0 ? "nobody" : names.join(", ");
        }
      }
    }
  }
}

interface RouteList {
  readonly ground: Ground;
  readonly authorizations: readonly Authz[];
}

function routesOf(server: WireServer): readonly RouteList[] {
  const kind = server.protocol?.kind;
  const list = () => {
    switch (kind?.case) {
      case undefined:
      case "opaque":
      case "tls":
        return [];
      case "detect":
        return kind.value.httpRoutes;
      case "http1":
      case "http2":
      case "grpc":
        return kind.value.routes;
    }
  };
  return list().map(({ metadata, authorizations }) => ({ ground: groundOf(metadata), authorizations }));
}

/** Every authorization at these ports, equal rows once. */
export function authorizationsAt(
  ports: readonly WorkloadPort[],
  context: InboundContext,
): readonly AuthorizationRow[] {
  const rows = ports.flatMap(({ of, workload, port }): readonly AuthorizationRow[] => {
    const policy = inboundPolicy({ workload: { ...workload, of }, port }, context);
    if (policy === undefined) return [];
    const server = serverGround(policy, workload.namespace);
    const row = (route: Ground | undefined, authz: Authz | undefined): AuthorizationRow => ({
      port,
      server,
      route,
      by: authz === undefined ? undefined : groundOf(authz.metadata),
      clients: authz === undefined ? "nobody" : `${clientsOf(authz)}${networksOf(authz)}`,
    });
    const own = policy.authorizations.map((authz) => row(undefined, authz));
    const ofRoutes = routesOf(policy).flatMap(({ ground, authorizations }) =>
      authorizations.map((authz) => row(ground, authz)),
    );
    const all = [...own, ...ofRoutes];
    return all.length === 0 ? [row(undefined, undefined)] : all;
  });
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}
