import { readFile } from "node:fs/promises";
import { Flags } from "@oclif/core";
import { z } from "zod";
import { KEPT, objectsOf, readInstalled, type Installed } from "@hauberk/mesh/install/installed.ts";
import { authorityOf } from "@hauberk/mesh/install/issuer.ts";
import { controlPlaneManifests, kindsManifests } from "@hauberk/mesh/install/manifests.ts";
import { printObjects } from "@hauberk/mesh/install/output.ts";
import { mergeTrees, parseValues } from "@hauberk/mesh/install/values/values.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { otherFlags, valueFlags, valuesOf } from "../install-flags.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const Options = z.strictObject({
  ...ClusterOptions,
  crds: z.boolean(),
  force: z.boolean(),
  "from-manifests": z.string().min(1).optional(),
  "migrate-crds": z.boolean(),
  output: z.enum(["yaml", "json"]),
});
type Options = z.infer<typeof Options>;

/** Prints what `kubectl apply -f -` makes of an installation. */
export class UpgradeCommand extends MeshCommand {
  static override summary = "Print the manifests of this version for the control plane that is installed.";
  static override description =
    "Values and issuer are kept as they are in the cluster; flags change values. The order is: kinds (--crds), objects that are stored in an old version (--migrate-crds, the one thing that is written), then the control plane.";
  static override examples = [
    "<%= config.bin %> upgrade --crds | kubectl apply -f -",
    "<%= config.bin %> upgrade --migrate-crds",
    "<%= config.bin %> upgrade | kubectl apply -f -",
  ];
  static override flags = {
    ...clusterFlags,
    ...valueFlags,
    crds: Flags.boolean({ summary: "Print the kinds.", default: false }),
    force: Flags.boolean({ summary: "Print even where the preflight has objections.", default: false }),
    "from-manifests": Flags.string({
      summary: "Read the installation from a file (- for stdin) instead of the cluster.",
    }),
    "migrate-crds": Flags.boolean({
      summary: "Store every object in its kind's newest version. This writes to the cluster.",
      default: false,
    }),
    output: Flags.string({ char: "o", summary: "How to print.", options: ["yaml", "json"], default: "yaml" }),
  };

  async run(): Promise<void> {
    const flags = { ...(await this.parse(UpgradeCommand)).flags };
    const options = Options.parse(otherFlags(flags));
    if (options["migrate-crds"]) return this.#migrate(options);
    const place = { namespace: options["linkerd-namespace"], version: cliVersion() };
    if (options.crds) {
      this.log(printObjects(kindsManifests(place), options.output).trimEnd());
      return;
    }
    const installed = await this.#installed(options);
    for (const path of installed.dropped)
      this.warn(`the value ${path} has no meaning any more; it is left out`);
    const values = parseValues(mergeTrees(installed.values, await valuesOf(flags)));
    if (authorityOf(values, Date.now()).type === "missing") {
      this.error("the installation has no issuer: the Secret linkerd-identity-issuer is missing", {
        exit: EXIT.unwell,
      });
    }
    this.log(printObjects(controlPlaneManifests(place, values), options.output).trimEnd());
  }

  async #installed(options: Options): Promise<Installed> {
    const file = options["from-manifests"];
    if (file !== undefined)
      return readInstalled(objectsOf(await readFile(file === "-" ? "/dev/stdin" : file, "utf8")));
    return this.#with(options, async (client) => {
      const { upgradePreflight } = await import("../upgrade-preflight.ts");
      const objections = await upgradePreflight(client);
      if (objections.length > 0 && !options.force) {
        this.error(`${objections.join("\n")}\n--force prints all the same`, { exit: EXIT.unwell });
      }
      for (const objection of objections) this.warn(objection);
      const namespace = options["linkerd-namespace"];
      const found = await Promise.all(
        KEPT.map(({ kind, name }) =>
          client.find({
            type: kind === "Secret" ? RESOURCES.secrets : RESOURCES.configMaps,
            namespace,
            name,
          }),
        ),
      );
      return readInstalled(found.filter((object) => object !== undefined));
    });
  }

  #migrate(options: Options): Promise<void> {
    return this.#with(options, async (client) => {
      const { migrateKinds } = await import("../upgrade-preflight.ts");
      await migrateKinds(client, (line) => this.log(line));
    });
  }

  async #with<T>(options: Options, use: (client: KubeClient) => Promise<T>): Promise<T> {
    const client = await connectCluster(options);
    try {
      return await use(client);
    } finally {
      await client.close();
    }
  }
}
