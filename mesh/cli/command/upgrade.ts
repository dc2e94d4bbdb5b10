import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Flags } from "@oclif/core";
import { z } from "zod";
import { KEPT, objectsOf, readInstalled, type Installed } from "@hauberk/mesh/install/installed.ts";
import { authorityOf } from "@hauberk/mesh/install/issuer.ts";
import { controlPlaneManifests, kindsManifests, upgradeManifests } from "@hauberk/mesh/install/manifests.ts";
import { printObjects } from "@hauberk/mesh/install/output.ts";
import { CHANNELS, type ChannelName } from "@hauberk/release/channel/roles.ts";
import { mergeTrees, parseValues, type Tree } from "@hauberk/mesh/install/values/values.ts";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { bundleFlags } from "../bundle-flags.ts";
import type { ChannelUpgrade } from "../upgrade/run.ts";
import { otherFlags, valueFlags, valuesOf } from "../install-flags.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const ENDINGS = {
  upgraded: "upgraded, checked and recorded: hauberk audit show",
  current: "the newest release runs already",
  "dry-run": "nothing was changed",
  declined: "nothing was changed",
} as const;

const Options = z.strictObject({
  ...ClusterOptions,
  crds: z.boolean(),
  force: z.boolean(),
  "from-manifests": z.string().min(1).optional(),
  "migrate-crds": z.boolean(),
  channel: z.enum(CHANNELS).optional(),
  "channel-url": z.string().min(1).optional(),
  bundle: z.string().min(1).optional(),
  root: z.string().min(1).optional(),
  mirror: z.string().min(1).optional(),
  "plain-http": z.boolean(),
  to: z.string().min(1).optional(),
  rollback: z.boolean(),
  "dry-run": z.boolean(),
  yes: z.boolean(),
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
    "<%= config.bin %> upgrade --channel stable --channel-url https://HOST/PATH --dry-run",
    "<%= config.bin %> upgrade --bundle hauberk-1.0.0.bundle.tar --root 1.root.json --mirror HOST/PATH",
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
    channel: Flags.string({
      summary: "Upgrade the cluster to a verified release of this channel.",
      options: [...CHANNELS],
      dependsOn: ["channel-url"],
      helpGroup: "CHANNEL",
    }),
    "channel-url": Flags.string({
      summary: "Where the channel's repository is: https: or file:.",
      helpGroup: "CHANNEL",
    }),
    ...bundleFlags,
    root: Flags.string({ summary: "The channel's root document, for the first time.", helpGroup: "CHANNEL" }),
    mirror: Flags.string({ summary: "HOST/PATH of a mirror of the images.", helpGroup: "CHANNEL" }),
    "plain-http": Flags.boolean({
      summary: "Speak to the registry without TLS.",
      default: false,
      helpGroup: "CHANNEL",
    }),
    to: Flags.string({ summary: "This version instead of the newest.", helpGroup: "CHANNEL" }),
    rollback: Flags.boolean({
      summary: "Go to an older version.",
      default: false,
      helpGroup: "CHANNEL",
    }),
    "dry-run": Flags.boolean({ summary: "Verify and plan only.", default: false, helpGroup: "CHANNEL" }),
    yes: Flags.boolean({ summary: "Agree to the plan.", default: false, helpGroup: "CHANNEL" }),
  };

  async run(): Promise<void> {
    const flags = { ...(await this.parse(UpgradeCommand)).flags };
    const options = Options.parse(otherFlags(flags));
    if (options["migrate-crds"]) return this.#migrate(options);
    const { channel, "channel-url": url, bundle } = options;
    if (options.rollback && options.to === undefined)
      this.error("--rollback goes to a version: --to", { exit: EXIT.usage });
    const given = await valuesOf(flags);
    if (bundle !== undefined) return this.#unpacked(options, { bundle, given });
    if (channel !== undefined && url !== undefined)
      return this.#follow(options, { channel, repository: { url }, given });
    const place = { namespace: options["linkerd-namespace"], version: cliVersion() };
    if (options.crds) {
      this.log(printObjects(kindsManifests(place), options.output).trimEnd());
      return;
    }
    const installed = await this.#installed(options);
    for (const path of installed.dropped)
      this.warn(`the value ${path} has no meaning any more; it is left out`);
    const values = parseValues(mergeTrees(installed.values, given));
    if (authorityOf(values, Date.now()).type === "missing") {
      this.error("the installation has no issuer: the Secret linkerd-identity-issuer is missing", {
        exit: EXIT.unwell,
      });
    }
    // Manifests are a whole installation; beside a cluster, its trust is its own.
    const rendered =
      options["from-manifests"] === undefined
        ? upgradeManifests(place, values, given)
        : controlPlaneManifests(place, values);
    this.log(printObjects(rendered, options.output).trimEnd());
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

  /** From a bundle: its channel is a copy, and its images lie in the mirror. */
  async #unpacked(
    options: Options,
    { bundle, given }: { readonly bundle: string; readonly given: Tree },
  ): Promise<void> {
    const [{ withBundle }, { CHANNEL_DIR }] = await Promise.all([
      import("@hauberk/release/airgap/unpack.ts"),
      import("@hauberk/release/airgap/pack.ts"),
    ]);
    const { channel = "stable" } = options;
    await withBundle(bundle, (dir) =>
      this.#follow(options, { channel, repository: { copy: join(dir, CHANNEL_DIR) }, given }),
    );
  }

  #follow(
    options: Options,
    {
      channel,
      repository,
      given,
    }: {
      readonly channel: ChannelName;
      readonly repository: ChannelUpgrade["repository"];
      readonly given: Tree;
    },
  ): Promise<void> {
    return this.#with(options, async (client) => {
      const { upgradeFromChannel } = await import("../upgrade/run.ts");
      const ended = await upgradeFromChannel({
        client,
        namespace: options["linkerd-namespace"],
        channel,
        repository,
        given,
        words: process.argv.slice(2),
        root: options.root,
        registry: options.mirror,
        isPlainHttp: options["plain-http"],
        isAgreed: options.yes,
        isDryRun: options["dry-run"],
        isRollback: options.rollback,
        to: options.to,
        cliVersion: cliVersion(),
        check: () => this.#errors(options),
        say: (line) => this.log(line),
      });
      switch (ended.kind) {
        case "upgraded":
        case "current":
        case "dry-run":
        case "declined":
          this.log(ENDINGS[ended.kind]);
          return;
        case "handed-over":
          if (ended.code !== 0) this.exit(ended.code);
          return;
        case "refused":
          this.error(`${ended.refusal}: ${ended.detail}\nnothing was changed`, { exit: EXIT.unwell });
          break;
        case "rolled-back":
          this.error(`the upgrade was taken back: ${ended.reason}`, { exit: EXIT.unwell });
      }
    });
  }

  /** What `hauberk check` finds in error. */
  async #errors(options: Options): Promise<readonly string[]> {
    const { clusterReport } = await import("../check/cluster/report.ts");
    const version = cliVersion();
    const asking = {
      namespace: options["linkerd-namespace"],
      cniNamespace: options["cni-namespace"],
      dataPlane: undefined,
      cliVersion: version,
      expectedVersion: version,
      asksAccess: false,
    };
    const wish = { report: "control-plane", withCni: false } as const;
    const results = await clusterReport(() => connectCluster(options), asking, wish);
    return results.flatMap(({ description, finding }) =>
      finding.type === "error" ? [`${description}: ${finding.message}`] : [],
    );
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
