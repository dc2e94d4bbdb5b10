import { z } from "zod";
import { KEPT, readInstalled } from "@hauberk/mesh/install/installed.ts";
import { controlPlaneManifests, kindsManifests } from "@hauberk/mesh/install/manifests.ts";
import { isMadeAtRunTime, namesIn } from "@hauberk/mesh/install/names.ts";
import { parseValues } from "@hauberk/mesh/install/values/values.ts";
import { REVISION_LABEL } from "@hauberk/mesh/model/revision.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { MeshCommand } from "../mesh-command.ts";
import { CLUSTER_KINDS, CUSTOM_KINDS, NAMESPACED_KINDS, owned, ownedStream } from "../owned.ts";
import { cliVersion } from "../version.ts";

const Options = z.strictObject(ClusterOptions);

/** Prints what an older version left behind. */
export class PruneCommand extends MeshCommand {
  static override summary =
    "Print objects of the control plane that this version does not have, to be deleted.";
  static override examples = ["<%= config.bin %> prune | kubectl delete -f -"];
  static override flags = clusterFlags;

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(PruneCommand)).flags });
    const namespace = options["linkerd-namespace"];
    const client = await connectCluster(options);
    try {
      const kept = await Promise.all(
        KEPT.map(({ kind, name }) =>
          client.find({
            type: kind === "Secret" ? RESOURCES.secrets : RESOURCES.configMaps,
            namespace,
            name,
          }),
        ),
      );
      const { values } = readInstalled(kept.filter((object) => object !== undefined));
      const place = { namespace, version: cliVersion() };
      const wanted = namesIn([
        ...kindsManifests(place),
        ...controlPlaneManifests(place, parseValues(values)),
      ]);
      const found = [
        ...(await owned(client, NAMESPACED_KINDS, {
          controlPlane: namespace,
          namespace,
          revision: `!${REVISION_LABEL}`,
        })),
        ...(await owned(client, [...CLUSTER_KINDS, ...CUSTOM_KINDS], {
          controlPlane: namespace,
          revision: `!${REVISION_LABEL}`,
        })),
      ];
      const left = found.filter(({ kind, metadata }) => {
        const name = `${kind}/${metadata.name}`;
        return !wanted.has(name) && !isMadeAtRunTime(name);
      });
      if (left.length > 0) this.log(ownedStream(left));
    } finally {
      await client.close();
    }
  }
}
