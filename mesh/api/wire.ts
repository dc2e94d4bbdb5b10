/** Small wire messages that many answers are made of. Pure. */
import { create } from "@bufbuild/protobuf";
import { DurationSchema, type Duration } from "./gen/google/protobuf/duration_pb.ts";
import { HttpMethod_Registered, type HttpMethod } from "./gen/http_types_pb.ts";
import { MetadataSchema, type Metadata } from "./gen/meta_pb.ts";
import {
  IPAddressSchema,
  IPNetworkSchema,
  TcpAddressSchema,
  type IPAddress,
  type IPNetwork,
  type TcpAddress,
} from "./gen/net_pb.ts";

/** An address as a number. */
export interface AddressBits {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

const LOW_64 = 0xffff_ffff_ffff_ffffn;

function wireIp({ family, bits }: AddressBits): IPAddress {
  if (family === 4) return create(IPAddressSchema, { ip: { case: "ipv4", value: Number(bits) } });
  return create(IPAddressSchema, {
    ip: { case: "ipv6", value: { first: bits >> 64n, last: bits & LOW_64 } },
  });
}

/** `undefined` when the message holds no address. */
export function bitsOfWireIp(address: IPAddress | undefined): AddressBits | undefined {
  switch (address?.ip.case) {
    case "ipv4":
      return { family: 4, bits: BigInt(address.ip.value) };
    case "ipv6":
      return { family: 6, bits: (address.ip.value.first << 64n) | address.ip.value.last };
    case undefined:
      return undefined;
  }
}

export function wireTcpAddress(ip: AddressBits, port: number): TcpAddress {
  return create(TcpAddressSchema, { ip: wireIp(ip), port });
}

export function wireNetwork(network: { readonly address: AddressBits; readonly prefix: number }): IPNetwork {
  return create(IPNetworkSchema, { ip: wireIp(network.address), prefixLen: network.prefix });
}

export function wireDuration(ms: number): Duration {
  return create(DurationSchema, { seconds: BigInt(Math.trunc(ms / 1000)), nanos: (ms % 1000) * 1_000_000 });
}

/** A named object, as answers and metrics refer to it. */
export interface ResourceName {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly section?: string;
  readonly port?: number;
}

export function resourceRef(resource: ResourceName): Metadata {
  return create(MetadataSchema, { kind: { case: "resource", value: resource } });
}

/** What is there without an object that says so. */
export function defaultRef(name: string): Metadata {
  return create(MetadataSchema, { kind: { case: "default", value: name } });
}

const METHODS: ReadonlyMap<string, HttpMethod_Registered> = new Map([
  ["GET", HttpMethod_Registered.GET],
  ["POST", HttpMethod_Registered.POST],
  ["PUT", HttpMethod_Registered.PUT],
  ["DELETE", HttpMethod_Registered.DELETE],
  ["PATCH", HttpMethod_Registered.PATCH],
  ["OPTIONS", HttpMethod_Registered.OPTIONS],
  ["CONNECT", HttpMethod_Registered.CONNECT],
  ["HEAD", HttpMethod_Registered.HEAD],
  ["TRACE", HttpMethod_Registered.TRACE],
]);

/** A method as messages hold it; those without a number go by their name. */
export function wireMethod(method: string) {
  const value = METHODS.get(method);
  if (value === undefined) return { type: { case: "unregistered", value: method } } as const;
  return { type: { case: "registered", value } } as const;
}

/** A method's name, as a request line has it. */
export function methodOfWire({ type }: HttpMethod): string {
  switch (type.case) {
    case "unregistered":
      return type.value;
    case "registered":
      return [...METHODS].find(([, value]) => value === type.value)?.[0] ?? "";
    case undefined:
      return "";
  }
}
