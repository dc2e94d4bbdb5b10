/** The control plane in one process: source, fold, and the roles' edges. The only place that joins them. */
import type { AddressInfo } from "node:net";
import { serve } from "../api/grpc.ts";
import { CallLimit } from "../api/limit.ts";
import { Methods } from "../api/methods.ts";
import { destinationMethods } from "../destination/grpc.ts";
import { endpointAt } from "../destination/profile.ts";
import type { KeySets } from "../model/jwks.ts";
import type { MeshSettings } from "../model/settings.ts";
import { policyMethods } from "../policy/grpc.ts";
import { quotaMethods } from "../policy/quota_grpc.ts";
import type { Rate } from "../source/kube/rate.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import { serveAdmin, type Page } from "./admin.ts";
import { followTrust, type ClusterTrust } from "./cluster_trust.ts";
import type { ControllerConfig, Listen } from "./config.ts";
import { startIdentity } from "./identity.ts";
import { fetchKeySet } from "./key_fetch.ts";
import { followKeys } from "./key_sets.ts";
import type { Log } from "./log.ts";
import { adminPages, healthPages, type Gauges, type Role } from "./report.ts";
import { sessionSecret } from "./session_secret.ts";
import { openSource, type OpenSource } from "./source.ts";
import { startTrust } from "./trust.ts";

/** Where a running controller listens, and how it is stopped. */
export interface Controller {
  readonly ports: {
    readonly destination: number;
    readonly policy: number;
    /** Absent when this process issues no certificates. */
    readonly identity: number | undefined;
    readonly admin: number;
  };
  /** Resolves when the source is no longer followed: after `close`, and otherwise never without an error. */
  readonly done: Promise<void>;
  /** Ends every stream within `spreadMs`, then everything else. */
  close(spreadMs?: number): Promise<void>;
}

interface Closable {
  readonly address: AddressInfo;
  close(spreadMs?: number): Promise<void>;
}

function internalErrorLog(log: Log): (path: string, error: unknown) => void {
  return (path, error) =>
    log("error", "internal error", { path, detail: error instanceof Error ? error.stack : String(error) });
}

/** What a start may be told besides. */
interface Starting {
  /** Aborted to give it up. */
  readonly stop?: AbortController;
  /** How hard the cluster may be asked. */
  readonly rate?: Rate | undefined;
}

/** Starts everything; resolves when it is ready to answer. The admin address answers from the start. */
export async function startController(
  config: ControllerConfig,
  log: Log,
  { stop = new AbortController(), rate }: Starting = {},
): Promise<Controller> {
  const { signal } = stop;
  const settings = { ...config.settings, sessionSecret: await sessionSecret(config) };
  const source = await openSource(config, { settings, log, signal, rate });
  const { world } = source;
  const { snapshots } = world;
  const keys = followKeys(snapshots, { fetch: fetchKeySet, log, signal });
  const open: Closable[] = [];
  let isServing = false;
  let pushed: ClusterTrust | undefined;
  const close = async (spreadMs?: number): Promise<void> => {
    isServing = false;
    await source.stopWriting();
    stop.abort();
    await Promise.all(open.map((server) => server.close(spreadMs)));
    await Promise.all([world.done, keys.done, pushed?.done]);
    await source.close();
  };
  const keep = <S extends Closable>(server: S): S => {
    open.push(server);
    return server;
  };
  const listen = async (role: Role, { host, port }: Listen): Promise<Closable> => {
    const limit = new CallLimit({ limitsUnproven: role.name !== "identity" });
    const onInternalError = internalErrorLog(log);
    const server = keep(await serve(role.methods, { host, port, onInternalError, limit }));
    log("info", "serving", { role: role.name, address: server.address.address, port: server.address.port });
    return server;
  };
  try {
    const lacking = () => [...source.lacking(), ...(isServing ? [] : ["the first read"])];
    const pages = new Map<string, Page>(healthPages(lacking));
    const admin = keep(await serveAdmin(pages, config.adminListen)).address.port;
    await world.loaded;
    const answering = { snapshots, settings, keySets: keys.sets, log, signal };
    const { destination, policy, identity, gauges } = await edges(config, answering);
    pushed = pushTrust(config, source, policy.methods, answering);
    const roles = [destination, policy, ...(identity === undefined ? [] : [identity])];
    const all = adminPages({
      world,
      keys,
      roles,
      gauges: { ...gauges, more: () => [...source.families(), ...(pushed?.families() ?? [])] },
      settings,
      cluster: source.cluster,
    });
    for (const [path, page] of all) pages.set(path, page);
    source.startWriting(keys.sets);
    const ports = {
      destination: (await listen(destination, config.destinationListen)).address.port,
      policy: (await listen(policy, config.policyListen)).address.port,
      identity:
        identity === undefined ? undefined : (await listen(identity, config.identityListen)).address.port,
      admin,
    };
    source.settle();
    isServing = true;
    log("info", "ready", {
      objects: Object.values(snapshots.value).reduce((sum, { size }) => sum + size, 0),
    });
    return { ports, done: world.done, close };
  } catch (error) {
    await close(0);
    throw error;
  }
}

/** In a cluster, the bundle is pushed beside the policies. */
function pushTrust(
  { source: of }: ControllerConfig,
  { client }: OpenSource,
  methods: Methods,
  { snapshots, settings, log, signal }: Answering,
): ClusterTrust | undefined {
  if (client === undefined || of.type !== "cluster") return undefined;
  return followTrust(methods, { client, holder: of.holder, snapshots, settings, log, signal });
}

interface Answering {
  readonly snapshots: Latest<Snapshot>;
  readonly settings: MeshSettings;
  readonly keySets: Latest<KeySets>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

interface Edges {
  readonly destination: Role;
  readonly policy: Role;
  readonly identity: Role | undefined;
  readonly gauges: Omit<Gauges, "more">;
}

/** The gRPC services of each role. */
async function edges(config: ControllerConfig, answering: Answering): Promise<Edges> {
  const { snapshots, settings, keySets, log, signal } = answering;
  const destination: Role = { name: "destination", methods: new Methods() };
  const policy: Role = { name: "policy", methods: new Methods() };
  const identity: Role = { name: "identity", methods: new Methods() };
  const resolving = destinationMethods(destination.methods, { snapshots, settings });
  const judging = policyMethods(policy.methods, {
    snapshots,
    settings,
    keySets,
    endpointAt: (ip, port) =>
      endpointAt(ip, port, { snapshot: snapshots.value, settings, clientZone: undefined }),
  });
  const sharing = quotaMethods(policy.methods, {
    snapshots,
    replicas: config.quotaReplicas,
    nowMs: () => performance.now(),
  });
  const issuing =
    config.identity === undefined
      ? undefined
      : await startIdentity(identity.methods, config.identity, { snapshots, settings, log, signal });
  const trust =
    issuing === undefined || config.identity === undefined
      ? undefined
      : startTrust(policy.methods, {
          snapshots,
          settings,
          config: config.identity,
          issuer: issuing.issuer,
          log,
          signal,
        });
  return {
    destination,
    policy,
    identity: issuing === undefined ? undefined : identity,
    gauges: {
      trust,
      issuer: issuing?.issuer.files,
      topics: () => ({ ...resolving.topics(), ...judging.topics() }),
      identity: issuing?.counts,
      quotas: sharing.pools,
    },
  };
}
