/** What commands about policy have in common: manifests or a cluster, a namespace, a form to print in. */
import { Flags } from "@oclif/core";
import { z } from "zod";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import type { MeshClient } from "@hauberk/mesh/standalone/control-client.ts";
import type { StatePaths } from "@hauberk/mesh/standalone/state.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import { clusterFlags, ClusterOptions, connectCluster } from "../cluster-flags.ts";
import type { AskPod, NamedPod } from "./scrape.ts";
import type { PolicyWorld } from "./world.ts";

/** How long a look at a cluster may take. */
const LOOK_MS_MAX = 60_000;

/** Flags of commands that look at a world. */
export const worldFlags = {
  filename: Flags.string({
    char: "f",
    summary: "Directory or file of manifests to look at instead of a cluster; may be given again.",
    multiple: true,
    multipleNonGreedy: true,
  }),
  values: Flags.string({ summary: "With -f: file with the values that the mesh is installed with." }),
  state: Flags.string({
    summary: "State directory of a running standalone mesh to look at instead of a cluster.",
  }),
  namespace: Flags.string({ char: "n", summary: "Namespace of what is asked about.", default: "default" }),
  ...clusterFlags,
};

/** Their values. */
export const WorldOptions = {
  filename: z.array(z.string().min(1)).optional(),
  values: z.string().min(1).optional(),
  state: z.string().min(1).optional(),
  namespace: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "is no name for a namespace"),
  ...ClusterOptions,
};

const Options = z.object(WorldOptions);
export type WorldOptions = z.infer<typeof Options>;

/** `-o table|json`. */
export const outputFlag = Flags.string({
  char: "o",
  summary: "How to print.",
  options: ["table", "json"],
  default: "table",
});
export const Output = z.enum(["table", "json"]);

/** A world, and how its pods are asked, where they run. */
export interface Looked {
  readonly world: PolicyWorld;
  readonly pods: AskablePods | undefined;
  /** What runs there; absent of manifests. */
  readonly place?: Place;
}

/** A running mesh. */
export type Place =
  | { readonly type: "standalone"; readonly paths: StatePaths; readonly client: MeshClient }
  | { readonly type: "cluster"; readonly client: KubeClient };

/** Pods of a running mesh. */
export interface AskablePods {
  /** At their admin ports. */
  readonly ask: AskPod;
  /** At another port, where there is a way to it. */
  readonly askPort: (port: number) => AskPod;
  /** The certificates that a pod's proxy shows, as PEM, leaf first; absent where there is no way to see them. */
  readonly certificates?: (pod: NamedPod) => Promise<readonly string[]>;
}

function noOtherPort(): AskPod {
  return () => Promise.reject(new Error("a standalone mesh has no way to other ports of its pods"));
}

/** A command that looks at a world. */
export abstract class WorldCommand extends MeshCommand {
  /** The world that the flags name. Manifests that are wrong are told and left out. */
  protected world(options: WorldOptions): Promise<PolicyWorld> {
    return this.withWorld(options, ({ world }) => Promise.resolve(world));
  }

  /** The same, with a way to its pods for as long as `act` runs. */
  protected async withWorld<T>(options: WorldOptions, act: (looked: Looked) => Promise<T>): Promise<T> {
    const controlPlaneNamespace = options["linkerd-namespace"];
    if (options["api-addr"] !== undefined)
      this.error("--api-addr: answers are computed from the objects here, no controller is asked", {
        exit: EXIT.usage,
      });
    if (options.filename !== undefined) {
      const [{ worldOfManifests }, values] = await Promise.all([
        import("./world.ts"),
        this.#values(options.values),
      ]);
      const world = await worldOfManifests(options.filename, { values, controlPlaneNamespace });
      this.#tell(world);
      return act({ world, pods: undefined });
    }
    if (options.state !== undefined) return act(await this.#standalone(options.state, controlPlaneNamespace));
    const [{ worldOfCluster }, { askThrough, certificatesThrough }] = await Promise.all([
      import("./cluster.ts"),
      import("./scrape.ts"),
    ]);
    const client = await connectCluster(options);
    try {
      const signal = AbortSignal.timeout(LOOK_MS_MAX);
      const world = await worldOfCluster(client, { namespace: controlPlaneNamespace, signal });
      return await act({
        world,
        pods: {
          ask: askThrough(client),
          askPort: (port) => askThrough(client, port),
          certificates: certificatesThrough(client),
        },
        place: { type: "cluster", client },
      });
    } finally {
      await client.close();
    }
  }

  async #standalone(state: string, controlPlaneNamespace: string): Promise<Looked> {
    const { worldOfRunning } = await import("./world.ts");
    const paths = this.paths({ name: "default", state });
    const client = this.client(paths);
    const { manifests } = await client.status();
    const world = await worldOfRunning([...manifests, paths.objects], { controlPlaneNamespace });
    const ask: AskPod = (pod, path) => client.askProxy(pod, path);
    const certificates = async (pod: NamedPod) => (await client.certificate(pod)).chain;
    return {
      world,
      pods: { ask, askPort: noOtherPort, certificates },
      place: { type: "standalone", paths, client },
    };
  }

  #tell({ problems }: PolicyWorld): void {
    for (const { severity, file, line, object, field, message } of problems)
      if (severity === "error")
        this.warn(`${file}:${line}: ${[object, field, message].filter(Boolean).join(": ")}`);
  }

  async #values(path: string | undefined): Promise<unknown> {
    if (path === undefined) return {};
    const [{ readFile }, { readYaml }] = await Promise.all([
      import("node:fs/promises"),
      import("@hauberk/mesh/source/manifests/yaml.ts"),
    ]);
    return readYaml(await readFile(path, "utf8"));
  }
}
