/** The control plane in one process: source, fold, and the three roles' edges. The only place that joins them. */
import type { AddressInfo } from "node:net";
import { serve } from "../api/grpc.ts";
import { Methods } from "../api/methods.ts";
import { destinationMethods } from "../destination/grpc.ts";
import { endpointAt } from "../destination/profile.ts";
import { policyMethods } from "../policy/grpc.ts";
import { quotaMethods } from "../policy/quota_grpc.ts";
import { serveAdmin } from "./admin.ts";
import type { ControllerConfig, Listen } from "./config.ts";
import { startIdentity } from "./identity.ts";
import { fetchKeySet } from "./key_fetch.ts";
import { followKeys } from "./key_sets.ts";
import type { Log } from "./log.ts";
import { adminPages, type Role } from "./report.ts";
import { sessionSecret } from "./session_secret.ts";
import { followManifests } from "./world.ts";

/** Where a running controller listens, and how it is stopped. */
export interface Controller {
  readonly ports: {
    readonly destination: number;
    readonly policy: number;
    /** Absent when this process issues no certificates. */
    readonly identity: number | undefined;
    readonly admin: number;
  };
  /** Resolves when the directories are no longer followed: after `close`, and otherwise never without an error. */
  readonly done: Promise<void>;
  /** Ends every stream within `spreadMs`, then everything else. */
  close(spreadMs?: number): Promise<void>;
}

interface Closable {
  readonly address: AddressInfo;
  close(spreadMs?: number): Promise<void>;
}

/** Starts everything; resolves when it is ready to answer. */
export async function startController(config: ControllerConfig, log: Log): Promise<Controller> {
  const stop = new AbortController();
  const { signal } = stop;
  const settings = { ...config.settings, sessionSecret: await sessionSecret(config) };
  const world = followManifests(config.manifests, { log, signal });
  const { snapshots } = world;
  const keys = followKeys(snapshots, { fetch: fetchKeySet, log, signal });
  const open: Closable[] = [];
  const close = async (spreadMs?: number): Promise<void> => {
    stop.abort();
    await Promise.all(open.map((server) => server.close(spreadMs)));
    await Promise.all([world.done, keys.done]);
  };
  const keep = <S extends Closable>(server: S): S => {
    open.push(server);
    return server;
  };
  const listen = async (role: Role, { host, port }: Listen): Promise<Closable> => {
    const onInternalError = (path: string, error: unknown) =>
      log("error", "internal error", { path, detail: error instanceof Error ? error.stack : String(error) });
    const server = keep(await serve(role.methods, { host, port, onInternalError }));
    log("info", "serving", { role: role.name, address: server.address.address, port: server.address.port });
    return server;
  };
  try {
    await world.loaded;
    const destination: Role = { name: "destination", methods: new Methods() };
    const policy: Role = { name: "policy", methods: new Methods() };
    const identity: Role = { name: "identity", methods: new Methods() };
    const resolving = destinationMethods(destination.methods, { snapshots, settings });
    const judging = policyMethods(policy.methods, {
      snapshots,
      settings,
      keySets: keys.sets,
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
    const gauges = {
      topics: () => ({ ...resolving.topics(), ...judging.topics() }),
      identity: issuing?.counts,
      quotas: sharing.pools,
    };
    const roles = [destination, policy, ...(issuing === undefined ? [] : [identity])];
    const ports = {
      destination: (await listen(destination, config.destinationListen)).address.port,
      policy: (await listen(policy, config.policyListen)).address.port,
      identity:
        issuing === undefined ? undefined : (await listen(identity, config.identityListen)).address.port,
      admin: keep(await serveAdmin(adminPages({ world, keys, roles, gauges, settings }), config.adminListen))
        .address.port,
    };
    log("info", "ready", {
      objects: Object.values(snapshots.value).reduce((sum, { size }) => sum + size, 0),
    });
    return { ports, done: world.done, close };
  } catch (error) {
    await close(0);
    throw error;
  }
}
