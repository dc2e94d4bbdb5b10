/** Where a controller's objects come from, and what it writes where they came from. */
import type { KeySets } from "../model/jwks.ts";
import type { MeshSettings } from "../model/settings.ts";
import { connect, type KubeClient } from "../source/kube/client.ts";
import type { Rate } from "../source/kube/rate.ts";
import { prepare } from "../state/derive.ts";
import type { Latest } from "../state/subscribe.ts";
import { guardOf } from "./access.ts";
import { followKube, type ClusterWorld } from "./cluster_world.ts";
import type { ControllerConfig } from "./config.ts";
import type { Log } from "./log.ts";
import { collectGarbage } from "./memory.ts";
import type { Family } from "./metrics.ts";
import { startValidators, type Validators } from "./validators.ts";
import { startWriters, type Writers } from "./writers.ts";
import { followManifests, type World } from "./world.ts";

/** A source that is followed. */
export interface OpenSource {
  readonly world: World;
  /** The same world, if it is a cluster. */
  readonly cluster: ClusterWorld | undefined;
  /** Where the cluster is, if it is one. */
  readonly client: KubeClient | undefined;
  /** What readiness waits for. */
  readonly lacking: () => readonly string[];
  readonly families: () => readonly Family[];
  /** After the first read: builds what the first change would wait for, and gives back what only reading needed. */
  readonly settle: () => void;
  /** Begins to write conditions and slices, once the world was read. */
  readonly startWriting: (keySets: Latest<KeySets>) => void;
  /** Ends writing, so that another replica may go on. */
  readonly stopWriting: () => Promise<void>;
  readonly close: () => Promise<void>;
}

interface Surroundings {
  readonly settings: MeshSettings;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** How hard the cluster may be asked. */
  readonly rate?: Rate | undefined;
}

async function nothing(): Promise<void> {}

/** Begins to follow what `config` names. */
export async function openSource(
  config: ControllerConfig,
  { settings, log, signal, rate }: Surroundings,
): Promise<OpenSource> {
  const { source } = config;
  switch (source.type) {
    case "manifests": {
      return {
        world: followManifests(source.dirs, { log, signal }),
        cluster: undefined,
        client: undefined,
        lacking: () => [],
        families: () => [],
        settle: () => undefined,
        startWriting: () => undefined,
        stopWriting: nothing,
        close: nothing,
      };
    }
    case "cluster": {
      const guard = guardOf("destination", settings.controlPlaneNamespace);
      const client = await connect({ ...source.connect, guard, rate });
      log("info", "following cluster", { server: client.server });
      return clusterSource(client, { config, holder: source.holder }, { settings, log, signal });
    }
  }
}

function clusterSource(
  client: KubeClient,
  { config, holder }: { readonly config: ControllerConfig; readonly holder: string },
  { settings, log, signal }: Surroundings,
): OpenSource {
  const world = followKube(client, { log, signal });
  const { snapshots } = world;
  let validators: Validators | undefined;
  let writers: Writers | undefined;
  return {
    world,
    cluster: world,
    client,
    lacking: () => [
      ...world
        .kinds()
        .filter(({ type, progress }) => type !== undefined && !progress.isSynced)
        .map(({ kind, progress }) =>
          progress.trouble === undefined ? kind : `${kind} (${progress.trouble})`,
        ),
      ...(validators?.lacking() ?? []),
    ],
    families: () => [...(validators?.families() ?? []), ...(writers?.families() ?? [])],
    settle: () => {
      prepare(snapshots.value);
      collectGarbage();
    },
    startWriting: (keySets) => {
      validators = startValidators(client, config, {
        context: () => ({ snapshot: snapshots.value, settings, keySets: keySets.value }),
        namespace: settings.controlPlaneNamespace,
        log,
        signal,
      });
      writers = startWriters({ client, world, settings, keySets, holder, log });
    },
    stopWriting: async () => writers?.stop(),
    close: async () => {
      await validators?.done;
      await client.close();
    },
  };
}
