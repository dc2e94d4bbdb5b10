import { Flags } from "@oclif/core";
import { z } from "zod";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import { CLUSTER_KINDS, CUSTOM_KINDS, owned, ownedStream } from "../owned.ts";

const Options = z.strictObject({ ...ClusterOptions, force: z.boolean(), "keep-crds": z.boolean() });

/** Prints what `kubectl delete -f -` takes away. */
export class UninstallCommand extends MeshCommand {
  static override summary = "Print the objects of the control plane, to be deleted.";
  static override description =
    "With the kinds go all policies and profiles of theirs; --keep-crds keeps them. Refuses while pods are meshed, since they would lose their certificates.";
  static override examples = ["<%= config.bin %> uninstall | kubectl delete -f -"];
  static override flags = {
    ...clusterFlags,
    force: Flags.boolean({ char: "f", summary: "Even while pods are meshed.", default: false }),
    "keep-crds": Flags.boolean({ summary: "Keep the kinds and their objects.", default: false }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(UninstallCommand)).flags });
    const controlPlane = options["linkerd-namespace"];
    const client = await connectCluster(options);
    try {
      const pods = await client.list(
        { type: RESOURCES.pods },
        { labelSelector: `linkerd.io/control-plane-ns=${controlPlane},!linkerd.io/control-plane-component` },
      );
      if (pods.length > 0 && !options.force) {
        const names = pods.map(({ metadata }) => `* ${metadata.namespace ?? ""}/${metadata.name}`);
        this.error(
          `${pods.length} pods are meshed; take linkerd.io/inject away and restart them, or use --force:\n${names.slice(0, 20).join("\n")}`,
          { exit: EXIT.unwell },
        );
      }
      const kinds = options["keep-crds"] ? CLUSTER_KINDS : [...CLUSTER_KINDS, ...CUSTOM_KINDS];
      const namespace = await client.find({ type: RESOURCES.namespaces, name: controlPlane });
      const objects = [
        ...(await owned(client, kinds, { controlPlane })),
        ...(namespace === undefined
          ? []
          : [{ apiVersion: "v1", kind: "Namespace", metadata: { name: controlPlane } }]),
      ];
      if (objects.length === 0)
        this.error(`there is no control plane in ${controlPlane}`, { exit: EXIT.unwell });
      this.log(ownedStream(objects));
    } finally {
      await client.close();
    }
  }
}
