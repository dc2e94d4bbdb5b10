/** What proxies are told of a world, computed as the controller computes it. Pure. */
import { endpointAt, profileOf } from "@hauberk/mesh/destination/profile.ts";
import { resolve } from "@hauberk/mesh/destination/resolve.ts";
import { bitsOfWireIp } from "@hauberk/mesh/api/wire.ts";
import { formatIp } from "@hauberk/mesh/model/address.ts";
import { parseAuthority } from "@hauberk/mesh/model/authority.ts";
import { inboundJson, outboundJson, profileJson } from "@hauberk/mesh/policy/answer_json.ts";
import type { InboundContext } from "@hauberk/mesh/policy/authz.ts";
import { inboundPolicy } from "@hauberk/mesh/policy/inbound.ts";
import { outboundPolicy } from "@hauberk/mesh/policy/outbound.ts";
import { portsAt, type Destination } from "@hauberk/mesh/policy/question.ts";

/** One ready endpoint of a service's port. */
export interface EndpointRow {
  readonly namespace: string;
  readonly ip: string;
  readonly port: number;
  readonly pod: string;
  readonly service: string;
  readonly identity: string;
}

/** A name that stands for nothing here. */
export type Nothing = { readonly ok: false; readonly why: string };

const contextOf = ({ snapshot, settings }: InboundContext) => ({ snapshot, settings, clientZone: undefined });

/** The endpoints of an authority, as `Destination.Get` gives them. */
export function endpointsOf(
  authority: string,
  world: InboundContext,
): { readonly ok: true; readonly rows: readonly EndpointRow[] } | Nothing {
  const target = parseAuthority(authority, world.settings.clusterDomain);
  if (target === undefined || target.type !== "service")
    return { ok: false, why: `${authority} is no NAME.NAMESPACE.svc.${world.settings.clusterDomain}:PORT` };
  const { service, hostname, port } = target;
  const resolution = resolve({ service, hostname, port, nodeName: undefined }, contextOf(world));
  if (resolution.type === "absent") return { ok: false, why: `${authority}: there is no such service` };
  const rows = [...resolution.addrs.values()].map((address) => {
    const { addr, metricLabels, tlsIdentity } = address.message();
    const ip = bitsOfWireIp(addr?.ip);
    const strategy = tlsIdentity?.strategy;
    return {
      namespace: service.namespace,
      ip: ip === undefined ? "" : formatIp(ip),
      port: addr?.port ?? 0,
      pod: metricLabels["pod"] ?? metricLabels["external_workload"] ?? "",
      service: `${service.name}.${service.namespace}`,
      identity:
        strategy?.case === "dnsLikeIdentity"
          ? strategy.value.name
          : strategy?.case === "uriLikeIdentity"
            ? strategy.value.uri
            : "",
    };
  });
  return { ok: true, rows };
}

/** What an authority is, as `Destination.GetProfile` says it to a client of `namespace`. */
export function profileAnswer(
  authority: string,
  namespace: string,
  world: InboundContext,
): { readonly ok: true; readonly profile: unknown } | Nothing {
  const target = parseAuthority(authority, world.settings.clusterDomain);
  if (target === undefined) return { ok: false, why: `${authority} is no HOST:PORT` };
  const profile = profileOf(target, { ...contextOf(world), clientNamespace: namespace });
  return profile === undefined
    ? { ok: false, why: `${authority} has no profile` }
    : { ok: true, profile: profileJson(profile) };
}

/** Inbound policy of a workload's port, or the outbound policy of a service's for a client of `namespace`. */
export function policyAnswers(
  to: Destination & { readonly port: number },
  namespace: string,
  world: InboundContext,
): readonly { readonly resource: string; readonly policy: unknown }[] {
  if (to.kind === "Service") {
    const { snapshot, settings } = world;
    const target = {
      type: "service",
      service: { namespace: to.namespace, name: to.name },
      hostname: undefined,
      port: to.port,
    } as const;
    const context = contextOf(world);
    const policy = outboundPolicy(
      { target, sourceNamespace: namespace },
      { snapshot, settings, endpointAt: (ip, port) => endpointAt(ip, port, context) },
    );
    return policy === undefined
      ? []
      : [{ resource: `Service ${to.namespace}/${to.name}:${to.port}`, policy: outboundJson(policy) }];
  }
  return portsAt(to, world).flatMap(({ of, workload, port }) => {
    const server = inboundPolicy({ workload: { ...workload, of }, port }, world);
    const resource = `${of} ${workload.namespace}/${workload.name}:${port}`;
    return server === undefined ? [] : [{ resource, policy: inboundJson(server) }];
  });
}
