/** `OutboundPolicies` and `InboundServerPolicies` on the wire. */
import { z } from "zod";
import { Answers, type Answer, type Versioned } from "../api/answers.ts";
import type { WeightedAddr } from "../api/gen/destination_pb.ts";
import { InboundServerPolicies, ServerSchema, type PortSpec, type Server } from "../api/gen/inbound_pb.ts";
import {
  OutboundPolicies,
  OutboundPolicySchema,
  type OutboundPolicy,
  type TrafficSpec,
} from "../api/gen/outbound_pb.ts";
import { equalExtended, extend } from "../api/extend.ts";
import { InboundExtensionSchema } from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import { OutboundExtensionSchema } from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import { encodeFrame } from "../api/frame.ts";
import type { Methods } from "../api/methods.ts";
import { Code, RpcError } from "../api/status.ts";
import { bitsOfWireIp } from "../api/wire.ts";
import type { IpAddress } from "../model/address.ts";
import { parseAuthority, type Authority } from "../model/authority.ts";
import { isPort } from "../model/ports.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import { inboundPolicy, type InboundQuery } from "./inbound.ts";
import { outboundPolicy, type OutboundQuery } from "./outbound.ts";

export interface PolicyOptions {
  readonly snapshots: Latest<Snapshot>;
  readonly settings: MeshSettings;
  /** Who lies at an address that is no service's; destination knows. */
  readonly endpointAt: (ip: IpAddress, port: number) => WeightedAddr;
}

export interface PolicyGauges {
  readonly topics: () => { readonly inbound: number; readonly outbound: number };
  readonly stop: () => void;
}

/** `{"ns":…,"pod":…}` or `{"ns":…,"external_workload":…}`. */
const WorkloadToken = z.union([
  z.object({ ns: z.string().min(1), pod: z.string().min(1) }),
  z.object({ ns: z.string().min(1), external_workload: z.string().min(1) }),
]);

type Workload = InboundQuery["workload"];

function parseWorkload(token: string): Workload | undefined {
  let json: unknown;
  try {
    json = JSON.parse(token);
  } catch {
    // The older form, `namespace:pod`.
    const [namespace, name, ...rest] = token.split(":");
    return namespace && name && rest.length === 0 ? { of: "Pod", namespace, name } : undefined;
  }
  const parsed = WorkloadToken.safeParse(json);
  if (!parsed.success) return undefined;
  const { data } = parsed;
  return "pod" in data
    ? { of: "Pod", namespace: data.ns, name: data.pod }
    : { of: "ExternalWorkload", namespace: data.ns, name: data.external_workload };
}

function requireWorkload(token: string): Workload {
  const workload = parseWorkload(token);
  if (workload === undefined) throw new RpcError(Code.InvalidArgument, "the workload is not understood");
  return workload;
}

function inboundQuery({ workload, port }: PortSpec): InboundQuery {
  if (!isPort(port)) throw new RpcError(Code.InvalidArgument, `${port} is not a port`);
  return { workload: requireWorkload(workload), port };
}

function targetOf({ target }: TrafficSpec, settings: MeshSettings): Authority {
  switch (target.case) {
    case "addr": {
      const ip = bitsOfWireIp(target.value.ip);
      if (ip === undefined || !isPort(target.value.port)) {
        throw new RpcError(Code.InvalidArgument, "the target address is not understood");
      }
      return { type: "ip", ip, port: target.value.port };
    }
    case "authority": {
      const authority = parseAuthority(target.value, settings.clusterDomain);
      if (authority === undefined)
        throw new RpcError(Code.InvalidArgument, "the target authority is not understood");
      return authority;
    }
    case undefined:
      throw new RpcError(Code.InvalidArgument, "a target is required");
  }
}

function outboundQuery(spec: TrafficSpec, settings: MeshSettings): OutboundQuery {
  return {
    target: targetOf(spec, settings),
    sourceNamespace: requireWorkload(spec.sourceWorkload).namespace,
  };
}

function answer<S>(state: S | undefined, what: string): Answer<S> {
  if (state !== undefined) return { ok: true, state };
  return { ok: false, refusal: new RpcError(Code.NotFound, `${what} not found`) };
}

function stateOf<S>(given: Answer<S>): S {
  if (!given.ok) throw given.refusal;
  return given.state;
}

/** Key of a question in which `bigint`s occur. */
function keyOfQuery(query: OutboundQuery): string {
  return JSON.stringify(query, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString(16) : value,
  );
}

/** Adds both policy services to a listener's methods. */
export function policyMethods(methods: Methods, options: PolicyOptions): PolicyGauges {
  const { snapshots, settings, endpointAt } = options;
  const inbound = new Answers<Versioned<Server>>({
    encode: (_, { version, value }) =>
      encodeFrame(ServerSchema, extend(value, InboundExtensionSchema, { version: BigInt(version) })),
    same: (before, after) => equalExtended(ServerSchema, before.value, after.value),
  });
  const outbound = new Answers<Versioned<OutboundPolicy>>({
    encode: (_, { version, value }) =>
      encodeFrame(OutboundPolicySchema, extend(value, OutboundExtensionSchema, { version: BigInt(version) })),
    same: (before, after) => equalExtended(OutboundPolicySchema, before.value, after.value),
  });
  const inboundAnswer = (query: InboundQuery) =>
    answer(inboundPolicy(query, { snapshot: snapshots.value, settings }), "workload");
  const outboundAnswer = (query: OutboundQuery) =>
    answer(outboundPolicy(query, { snapshot: snapshots.value, settings, endpointAt }), "service");
  const versioned = <S>(given: Answer<S>): Answer<Versioned<S>> =>
    given.ok ? { ok: true, state: { version: snapshots.revision, value: given.state } } : given;
  methods
    .unary(InboundServerPolicies.method.getPort, (spec) => stateOf(inboundAnswer(inboundQuery(spec))))
    .stream(InboundServerPolicies.method.watchPort, (spec) => {
      const query = inboundQuery(spec);
      return inbound.open(JSON.stringify(query), () => versioned(inboundAnswer(query)));
    })
    .unary(OutboundPolicies.method.get, (spec) => stateOf(outboundAnswer(outboundQuery(spec, settings))))
    .stream(OutboundPolicies.method.watch, (spec) => {
      const query = outboundQuery(spec, settings);
      return outbound.open(keyOfQuery(query), () => versioned(outboundAnswer(query)));
    });
  const stop = snapshots.listen(() => {
    inbound.refresh();
    outbound.refresh();
  });
  return { topics: () => ({ inbound: inbound.size, outbound: outbound.size }), stop };
}
