/** `OutboundPolicies` and `InboundServerPolicies` on the wire. */
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
import { formatIp, type IpAddress } from "../model/address.ts";
import { parseAuthority, type Authority } from "../model/authority.ts";
import type { KeySets } from "../model/jwks.ts";
import { isPort } from "../model/ports.ts";
import type { MeshSettings } from "../model/settings.ts";
import {
  changeOf,
  interestInIp,
  interestInNamespace,
  interestInWorkload,
  interestsOf,
  touchesIp,
  touchesNamespace,
  touchesWorkload,
  type Change,
} from "../state/change.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import { inboundPolicy, type InboundQuery } from "./inbound.ts";
import { outboundPolicy, type OutboundQuery } from "./outbound.ts";
import { requireWorkload } from "../api/workload.ts";

export interface PolicyOptions {
  readonly snapshots: Latest<Snapshot>;
  readonly settings: MeshSettings;
  /** Keys of token issuers, as fetched. */
  readonly keySets: Latest<KeySets>;
  /** Who lies at an address that is no service's; destination knows. */
  readonly endpointAt: (ip: IpAddress, port: number) => WeightedAddr;
}

export interface PolicyGauges {
  readonly topics: () => { readonly inbound: number; readonly outbound: number };
  readonly stop: () => void;
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

/** Whether pods and workloads that changed may be part of the answer: the one asked about, and those that share its limits. */
function touchesPort(change: Change, { workload }: InboundQuery, after: Snapshot): boolean {
  if (after.HTTPRateLimitPolicy.size > 0) return touchesNamespace(change, workload.namespace);
  return touchesWorkload(change, workload);
}

/** Whether pods, workloads and slices that changed may be part of the answer: only who lies at an address is. */
function touchesTarget(change: Change, { target }: OutboundQuery): boolean {
  switch (target.type) {
    case "ip":
      return touchesIp(change, formatIp(target.ip));
    case "service":
    case "foreign":
      return change.reach === "everything";
  }
}

/** Adds both policy services to a listener's methods. */
export function policyMethods(methods: Methods, options: PolicyOptions): PolicyGauges {
  const { snapshots, settings, keySets, endpointAt } = options;
  const inbound = new Answers<Versioned<Server>, Change>({
    encode: (_, { version, value }) =>
      encodeFrame(ServerSchema, extend(value, InboundExtensionSchema, { version: BigInt(version) })),
    same: (before, after) => equalExtended(ServerSchema, before.value, after.value),
  });
  const outbound = new Answers<Versioned<OutboundPolicy>, Change>({
    encode: (_, { version, value }) =>
      encodeFrame(OutboundPolicySchema, extend(value, OutboundExtensionSchema, { version: BigInt(version) })),
    same: (before, after) => equalExtended(OutboundPolicySchema, before.value, after.value),
  });
  const inboundAnswer = (query: InboundQuery) =>
    answer(inboundPolicy(query, { snapshot: snapshots.value, settings, keySets: keySets.value }), "workload");
  const outboundAnswer = (query: OutboundQuery) =>
    answer(outboundPolicy(query, { snapshot: snapshots.value, settings, endpointAt }), "service");
  const versioned = <S>(given: Answer<S>): Answer<Versioned<S>> =>
    given.ok ? { ok: true, state: { version: snapshots.revision, value: given.state } } : given;
  methods
    .unary(InboundServerPolicies.method.getPort, (spec) => stateOf(inboundAnswer(inboundQuery(spec))))
    .stream(InboundServerPolicies.method.watchPort, (spec) => {
      const query = inboundQuery(spec);
      return inbound.open(JSON.stringify(query), () => versioned(inboundAnswer(query)), {
        isTouched: (change) => touchesPort(change, query, snapshots.value),
        interests: [interestInWorkload(query.workload), interestInNamespace(query.workload.namespace)],
      });
    })
    .unary(OutboundPolicies.method.get, (spec) => stateOf(outboundAnswer(outboundQuery(spec, settings))))
    .stream(OutboundPolicies.method.watch, (spec) => {
      const query = outboundQuery(spec, settings);
      return outbound.open(keyOfQuery(query), () => versioned(outboundAnswer(query)), {
        isTouched: (change) => touchesTarget(change, query),
        interests: query.target.type === "ip" ? [interestInIp(formatIp(query.target.ip))] : [],
      });
    });
  const stopSnapshots = snapshots.listen((after, before) => {
    const change = changeOf(before, after);
    const interests = interestsOf(change);
    inbound.refresh(change, interests);
    outbound.refresh(change, interests);
  });
  const stopKeys = keySets.listen(() => inbound.refresh({ reach: "everything" }));
  const stop = () => {
    stopSnapshots();
    stopKeys();
  };
  return { topics: () => ({ inbound: inbound.size, outbound: outbound.size }), stop };
}
