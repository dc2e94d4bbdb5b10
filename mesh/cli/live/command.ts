import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import type { Report } from "@hauberk/viz/report.ts";
import { connectCluster } from "../cluster-flags.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import type { LivePod } from "./cluster.ts";
import { STANDALONE, isClusterMeant, type LiveOptions } from "./where.ts";

/** A cluster, and its meshed pods. */
export interface LiveCluster {
  readonly client: KubeClient;
  readonly pods: readonly LivePod[];
}

/** A command about a mesh that runs. */
export abstract class LiveCommand extends MeshCommand {
  /** Does `onCluster` or `standalone`, whichever is meant. */
  protected async live<T>(
    options: LiveOptions,
    act: {
      readonly namespace?: string | undefined;
      readonly onCluster: (cluster: LiveCluster) => Promise<T>;
      readonly standalone: (mesh: {
        readonly name: string;
        readonly state?: string | undefined;
      }) => Promise<T>;
    },
  ): Promise<T> {
    const { name = STANDALONE, state } = options;
    if (!isClusterMeant(options, process.env)) return act.standalone({ name, state });
    const { livePods } = await import("./cluster.ts");
    const client = await connectCluster(options);
    try {
      const pods = await livePods(client, {
        controlPlane: options["linkerd-namespace"],
        namespace: act.namespace,
      });
      if (pods.length === 0)
        this.error(`no pod ${act.namespace === undefined ? "" : `of ${act.namespace} `}is meshed`, {
          exit: EXIT.unwell,
        });
      return await act.onCluster({ client, pods });
    } finally {
      await client.close();
    }
  }

  /** What the mesh did in the last `windowMs`; of a cluster, in the next. */
  protected report(options: LiveOptions, windowMs: number): Promise<Report> {
    return this.live(options, {
      onCluster: async ({ client, pods }) => {
        const { measure } = await import("./cluster.ts");
        return measure(client, pods, windowMs);
      },
      standalone: async (mesh) => {
        const { readReport } = await import("../viz-client.ts");
        return readReport(this.paths(mesh), windowMs);
      },
    });
  }
}
