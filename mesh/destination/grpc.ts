/** `io.linkerd.proxy.destination.Destination` on the wire. */
import { create, equals } from "@bufbuild/protobuf";
import { z } from "zod";
import { Answers, type Answer, type Dependence, type Versioned } from "../api/answers.ts";
import { extend } from "../api/extend.ts";
import { encodeFrame, type Frame } from "../api/frame.ts";
import {
  Destination,
  DestinationProfileSchema,
  UpdateSchema,
  type DestinationProfile,
  type GetDestination,
  type Update,
} from "../api/gen/destination_pb.ts";
import { UpdateExtensionSchema } from "../api/gen/hauberk/proxy/v1/destination_pb.ts";
import type { Methods } from "../api/methods.ts";
import { Code, RpcError } from "../api/status.ts";
import type { MeshSettings } from "../model/settings.ts";
import {
  changeOf,
  interestInEndpoints,
  interestInIp,
  interestInWorkload,
  interestsOf,
  touchesEndpoints,
  touchesIp,
  touchesWorkload,
  type Change,
  type Interest,
} from "../state/change.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import { formatIp } from "../model/address.ts";
import { parseAuthority, type Authority } from "../model/authority.ts";
import { keyOf } from "../model/meta.ts";
import { changed, digestValue, EMPTY_DIGEST, type Digest } from "./digest.ts";
import { zoneOf, type Context } from "./endpoint.ts";
import { profileOf } from "./profile.ts";
import { diff, resolve, type Difference, type Query, type Resolution } from "./resolve.ts";

/** What a proxy says of itself in `context_token`; anything else in it is none of ours. */
const ContextToken = z.object({
  nodeName: z.string().optional(),
  ns: z.string().optional(),
  pod: z.string().optional(),
});

type ContextToken = z.infer<typeof ContextToken>;

/** What the client says of itself, if it can be read. */
function contextOfToken(token: string): ContextToken {
  try {
    return ContextToken.safeParse(JSON.parse(token)).data ?? {};
  } catch {
    return {};
  }
}

/** The zone that a client is in. */
function clientZoneOf({ nodeName, ns, pod }: ContextToken, snapshot: Snapshot): string | undefined {
  const node = nodeName === undefined ? undefined : snapshot.Node.get(nodeName);
  if (node?.zone !== undefined || ns === undefined || pod === undefined) return node?.zone;
  const known = snapshot.Pod.get(keyOf({ namespace: ns, name: pod }));
  return known === undefined ? undefined : zoneOf(known, snapshot);
}

function updateOf(difference: Difference): Update {
  switch (difference.type) {
    case "add": {
      const value = { addrs: [...difference.addrs], metricLabels: { ...difference.labels } };
      return create(UpdateSchema, { update: { case: "add", value } });
    }
    case "remove": {
      const addrs = difference.addrs.flatMap(({ addr }) => (addr === undefined ? [] : [addr]));
      return create(UpdateSchema, { update: { case: "remove", value: { addrs } } });
    }
    case "empty":
      return create(UpdateSchema, { update: { case: "noEndpoints", value: { exists: difference.exists } } });
  }
}

type Answered = Versioned<Resolution>;

/** Digests of what was sent, so that the next one costs only what changed. */
const digests = new WeakMap<Resolution, Digest>();

function digestOf(from: Resolution | undefined, differences: readonly Difference[]): Digest {
  let digest = (from && digests.get(from)) ?? EMPTY_DIGEST;
  for (const difference of differences) {
    switch (difference.type) {
      case "add":
        digest = changed(digest, { added: difference.addrs, removed: difference.replaced });
        break;
      case "remove":
        digest = changed(digest, { added: [], removed: difference.addrs });
        break;
      case "empty":
        digest = EMPTY_DIGEST;
        break;
    }
  }
  return digest;
}

/** The updates from one state to the next; the last one says what the set is after all of them. */
function encodeResolution(from: Answered | undefined, to: Answered): Frame {
  const differences = diff(from?.value, to.value);
  const digest = digests.get(to.value) ?? digestOf(from?.value, differences);
  digests.set(to.value, digest);
  const updates = differences.map(updateOf);
  const last = updates.pop();
  if (last === undefined) return Buffer.alloc(0);
  const verified = extend(last, UpdateExtensionSchema, {
    version: BigInt(to.version),
    digest: digestValue(digest),
    endpoints: to.value.type === "present" ? to.value.addrs.size : 0,
  });
  return Buffer.concat([...updates, verified].map((update) => encodeFrame(UpdateSchema, update)));
}

/** The service and its parts share nothing but the snapshot they are answered from. */
export interface DestinationOptions {
  readonly snapshots: Latest<Snapshot>;
  readonly settings: MeshSettings;
}

/** What the service reports of itself. */
export interface DestinationGauges {
  /** Distinct questions being followed. */
  readonly topics: () => { readonly get: number; readonly profile: number };
  /** Stops following the snapshots. */
  readonly stop: () => void;
}

function parsePath({ path }: GetDestination, settings: MeshSettings): Authority {
  const authority = parseAuthority(path, settings.clusterDomain);
  if (authority === undefined)
    throw new RpcError(Code.InvalidArgument, `Invalid authority: ${path.slice(0, 300)}`);
  return authority;
}

function queryOf(request: GetDestination, settings: MeshSettings): Query {
  const authority = parsePath(request, settings);
  switch (authority.type) {
    case "ip":
      throw new RpcError(Code.InvalidArgument, "IP queries not supported by Get API");
    case "foreign":
      throw new RpcError(Code.InvalidArgument, `Invalid authority: ${authority.host} is not a service`);
    case "service":
      return {
        service: authority.service,
        hostname: authority.hostname,
        port: authority.port,
        nodeName: contextOfToken(request.contextToken).nodeName,
      };
  }
}

/** Whether the client's own pod may have changed, and with it where the client is. */
function isAtClient({ ns, pod }: ContextToken, change: Change): boolean {
  return ns !== undefined && pod !== undefined && touchesWorkload(change, { namespace: ns, name: pod });
}

function interestsIn(authority: Authority): readonly Interest[] {
  switch (authority.type) {
    case "ip":
      return [interestInIp(formatIp(authority.ip))];
    case "service":
      return [interestInEndpoints(authority.service)];
    case "foreign":
      return [];
  }
}

function interestsAt({ ns, pod }: ContextToken): readonly Interest[] {
  return ns === undefined || pod === undefined ? [] : [interestInWorkload({ namespace: ns, name: pod })];
}

function isTouched(authority: Authority, change: Change): boolean {
  switch (authority.type) {
    case "ip":
      return touchesIp(change, formatIp(authority.ip));
    case "service":
      return touchesEndpoints(change, authority.service);
    case "foreign":
      return change.reach === "everything";
  }
}

/** What of a change an answer about `authority` to this client may depend on. */
function dependence(authority: Authority, client: ContextToken): Dependence<Change> {
  return {
    isTouched: (change) => isTouched(authority, change) || isAtClient(client, change),
    interests: [...interestsIn(authority), ...interestsAt(client)],
  };
}

/** Adds the destination service to a listener's methods. */
export function destinationMethods(
  methods: Methods,
  { snapshots, settings }: DestinationOptions,
): DestinationGauges {
  const contextOf = (client: ContextToken): Context => ({
    snapshot: snapshots.value,
    settings,
    clientZone: clientZoneOf(client, snapshots.value),
    clientNamespace: client.ns,
  });
  // Clients of one node share their answers; a pod whose zone is its own has its own.
  const whereabouts = (client: ContextToken) => {
    const { nodeName, ns, pod } = client;
    const isByNode = nodeName !== undefined && snapshots.value.Node.get(nodeName)?.zone !== undefined;
    return isByNode || clientZoneOf(client, snapshots.value) === undefined ? [nodeName] : [nodeName, ns, pod];
  };
  const resolutions = new Answers<Answered, Change>({
    encode: encodeResolution,
    same: (before, after) => diff(before.value, after.value).length === 0,
  });
  const profiles = new Answers<DestinationProfile, Change>({
    encode: (_, to) => encodeFrame(DestinationProfileSchema, to),
    same: (before, after) => equals(DestinationProfileSchema, before, after),
  });
  methods.stream(Destination.method.get, (request) => {
    const query = queryOf(request, settings);
    const { service, hostname, port } = query;
    const authority = parsePath(request, settings);
    const client = contextOfToken(request.contextToken);
    const answer = (): Answer<Answered> => ({
      ok: true,
      state: { version: snapshots.revision, value: resolve(query, contextOf(client)) },
    });
    if (resolve(query, contextOf(client)).type === "absent") {
      throw new RpcError(Code.NotFound, `Service ${service.namespace}/${service.name} not found`);
    }
    return resolutions.open(
      JSON.stringify([service.namespace, service.name, hostname, port, ...whereabouts(client)]),
      answer,
      dependence(authority, client),
    );
  });
  methods.stream(Destination.method.getProfile, (request) => {
    const authority = parsePath(request, settings);
    const client = contextOfToken(request.contextToken);
    const key = JSON.stringify([request.path, client.ns, ...whereabouts(client)]);
    const answer = (): Answer<DestinationProfile> => {
      const state = profileOf(authority, contextOf(client));
      if (state !== undefined) return { ok: true, state };
      return { ok: false, refusal: new RpcError(Code.NotFound, `${request.path.slice(0, 300)} not found`) };
    };
    return profiles.open(key, answer, dependence(authority, client));
  });
  const stop = snapshots.listen((after, before) => {
    const change = changeOf(before, after);
    const interests = interestsOf(change);
    resolutions.refresh(change, interests);
    profiles.refresh(change, interests);
  });
  return { topics: () => ({ get: resolutions.size, profile: profiles.size }), stop };
}
