/** The answer to `Destination.GetProfile`: what an address or name is. Pure. */
import { create } from "@bufbuild/protobuf";
import {
  DestinationProfileSchema,
  type DestinationProfile,
  type WeightedAddr,
} from "../api/gen/destination_pb.ts";
import { resourceRef } from "../api/wire.ts";
import { formatIp, type IpAddress } from "../model/address.ts";
import { keyOf } from "../model/meta.ts";
import { hasPort } from "../model/ports.ts";
import type { Service } from "../model/service.ts";
import {
  findPodByIp,
  findServiceByIp,
  findWorkloadByIp,
  isServicePortOpaque,
  profileFor,
} from "../state/derive.ts";
import { serviceName, type Authority } from "../model/authority.ts";
import { weightedAddr, type Context, type Occupant } from "./endpoint.ts";
import { resolve } from "./resolve.ts";
import { wireBudget, wireProfile } from "./service_profile.ts";

/** For what has no profile. */
const RETRY_BUDGET = wireBudget(undefined);

function serviceProfile(service: Service, port: number, context: Context): DestinationProfile {
  const { namespace, name } = service.meta;
  const { clusterDomain } = context.settings;
  const client = { clusterDomain, namespace: context.clientNamespace ?? namespace };
  const profile = profileFor(context.snapshot, service.meta, client);
  return create(DestinationProfileSchema, {
    fullyQualifiedName: serviceName(service.meta, clusterDomain),
    opaqueProtocol: isServicePortOpaque(context.snapshot, service, { port, settings: context.settings }),
    ...wireProfile(profile, { port, clusterDomain }),
    parentRef: resourceRef({ group: "core", kind: "Service", namespace, name, port }),
  });
}

/** Who has the address. */
function occupantAt(ip: string, { snapshot }: Context): Occupant {
  const pod = findPodByIp(snapshot, ip);
  if (pod !== undefined) return { type: "pod", pod };
  const workload = findWorkloadByIp(snapshot, ip);
  return workload === undefined ? { type: "unknown" } : { type: "workload", workload };
}

/** An address that is no service's, with the identity of who has it. */
export function endpointAt(ip: IpAddress, port: number, context: Context): WeightedAddr {
  return weightedAddr({ ip, port, occupant: occupantAt(formatIp(ip), context) }, context);
}

function endpointProfile(ip: IpAddress, port: number, context: Context): DestinationProfile {
  const endpoint = endpointAt(ip, port, context);
  const hint = endpoint.protocolHint?.protocol.case;
  const opaque = hint === undefined ? hasPort(context.settings.opaquePorts, port) : hint === "opaque";
  return create(DestinationProfileSchema, { opaqueProtocol: opaque, retryBudget: RETRY_BUDGET, endpoint });
}

function atIp(ip: IpAddress, port: number, context: Context): DestinationProfile {
  const service = findServiceByIp(context.snapshot, formatIp(ip));
  return service === undefined ? endpointProfile(ip, port, context) : serviceProfile(service, port, context);
}

/** The profile of what a client dials; `undefined` for a service that does not exist. */
export function profileOf(authority: Authority, context: Context): DestinationProfile | undefined {
  switch (authority.type) {
    case "ip":
      return atIp(authority.ip, authority.port, context);
    case "foreign":
      return create(DestinationProfileSchema, {
        fullyQualifiedName: authority.host,
        opaqueProtocol: hasPort(context.settings.opaquePorts, authority.port),
        retryBudget: RETRY_BUDGET,
      });
    case "service": {
      const service = context.snapshot.Service.get(keyOf(authority.service));
      if (service === undefined) return undefined;
      if (authority.hostname === undefined) return serviceProfile(service, authority.port, context);
      const resolution = resolve({ ...authority, nodeName: undefined }, context);
      const [first] = resolution.type === "present" ? resolution.addrs.values() : [];
      const endpoint = first?.message();
      if (endpoint === undefined) return undefined;
      return create(DestinationProfileSchema, {
        fullyQualifiedName: `${authority.hostname}.${serviceName(authority.service, context.settings.clusterDomain)}`,
        opaqueProtocol: endpoint.protocolHint?.protocol.case === "opaque",
        retryBudget: RETRY_BUDGET,
        endpoint,
      });
    }
  }
}
