import { Flags } from "@oclif/core";
import { z } from "zod";
import { REVISION, REVISION_LABEL, ofRevision } from "@hauberk/mesh/model/revision.ts";
import { INJECTOR_SERVICE } from "@hauberk/mesh/proxy-injector/registration.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import { CLUSTER_KINDS, CUSTOM_KINDS, NAMESPACED_KINDS, owned, ownedStream } from "../owned.ts";

const Options = z.strictObject({
  ...ClusterOptions,
  force: z.boolean(),
  "keep-crds": z.boolean(),
  revision: z.string().regex(REVISION, "is no name for a revision").optional(),
});

/** Prints what `kubectl delete -f -` takes away. */
export class UninstallCommand extends MeshCommand {
  static override summary = "Print the objects of the control plane, to be deleted.";
  static override description =
    "With the kinds go all policies and profiles of theirs; --keep-crds keeps them. Refuses while pods are meshed, since they would lose their certificates.";
  static override examples = ["<%= config.bin %> uninstall | kubectl delete -f -"];
  static override flags = {
    ...clusterFlags,
    force: Flags.boolean({ char: "f", summary: "Even while pods are meshed.", default: false }),
    revision: Flags.string({ summary: "Only this revision; pods of it are in its way." }),
    "keep-crds": Flags.boolean({ summary: "Keep the kinds and their objects.", default: false }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(UninstallCommand)).flags });
    const controlPlane = options["linkerd-namespace"];
    const { revision } = options;
    const ofIt = revision === undefined ? [] : [`${REVISION_LABEL}=${revision}`];
    const client = await connectCluster(options);
    try {
      const pods = await client.list(
        { type: RESOURCES.pods },
        {
          labelSelector: [
            `linkerd.io/control-plane-ns=${controlPlane}`,
            "!linkerd.io/control-plane-component",
            ...ofIt,
          ].join(","),
        },
      );
      if (pods.length > 0 && !options.force) {
        const names = pods.map(({ metadata }) => `* ${metadata.namespace ?? ""}/${metadata.name}`);
        this.error(
          `${pods.length} pods are ${revision === undefined ? "meshed; take linkerd.io/inject away" : `of ${revision}; take the label ${REVISION_LABEL} from their namespaces`} and restart them, or use --force:\n${names.slice(0, 20).join("\n")}`,
          { exit: EXIT.unwell },
        );
      }
      if (revision !== undefined) return await this.#revision(client, controlPlane, revision);
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

  async #revision(client: KubeClient, controlPlane: string, name: string): Promise<void> {
    const revision = `${REVISION_LABEL}=${name}`;
    const secret = ofRevision(`${INJECTOR_SERVICE}-k8s-tls`, name);
    const certificate = await client.find({
      type: RESOURCES.secrets,
      namespace: controlPlane,
      name: secret,
    });
    const objects = [
      ...(await owned(client, CLUSTER_KINDS, { controlPlane, revision })),
      ...(await owned(client, NAMESPACED_KINDS, { controlPlane, namespace: controlPlane, revision })),
      // It is made at run time, after everything that is labelled.
      ...(certificate === undefined
        ? []
        : [{ apiVersion: "v1", kind: "Secret", metadata: { name: secret, namespace: controlPlane } }]),
    ];
    if (objects.length === 0)
      this.error(`there is no revision ${name} in ${controlPlane}`, { exit: EXIT.unwell });
    this.log(ownedStream(objects));
  }
}
