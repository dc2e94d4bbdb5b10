/** Which endpoints are meant for a client's zone. Pure. */
import { extend } from "../api/extend.ts";
import type { WeightedAddr } from "../api/gen/destination_pb.ts";
import { EndpointExtensionSchema } from "../api/gen/hauberk/proxy/v1/destination_pb.ts";
import type { Endpoint, EndpointSlice, Service } from "../model/service.ts";
import { zoneOf, type Context, type Occupant } from "./endpoint.ts";

function endpointZone({ zone }: Endpoint, occupant: Occupant, { snapshot }: Context): string | undefined {
  return zone ?? (occupant.type === "pod" ? zoneOf(occupant.pod, snapshot) : undefined);
}

/**
 * Tells whether an endpoint lies outside of what is meant for the client. Hints of EndpointSlices count if every ready
 * endpoint has some (KEP-2433), else the zones themselves. Nothing lies outside where the client's zone is unknown, or
 * the service does not ask for it.
 */
export function zoneJudge(
  service: Service,
  slices: readonly EndpointSlice[],
  context: Context,
): (endpoint: Endpoint, occupant: Occupant) => boolean {
  const { clientZone } = context;
  if (clientZone === undefined || !service.prefersZone) return () => false;
  const ready = slices.flatMap(({ endpoints }) => endpoints).filter(({ isReady }) => isReady);
  if (ready.length > 0 && ready.every(({ forZones }) => forZones.length > 0))
    return ({ forZones }) => !forZones.includes(clientZone);
  return (endpoint, occupant) => {
    const zone = endpointZone(endpoint, occupant, context);
    return zone !== undefined && zone !== clientZone;
  };
}

/** An address with what the judge says of it. */
export function inZone(addr: WeightedAddr, isOther: boolean): WeightedAddr {
  return isOther ? extend(addr, EndpointExtensionSchema, { otherZone: true }) : addr;
}
