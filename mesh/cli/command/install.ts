import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Flags } from "@oclif/core";
import { z } from "zod";
import type { Rendered } from "@hauberk/mesh/install/chart.ts";
import { authorityOf, newAuthority } from "@hauberk/mesh/install/issuer.ts";
import { controlPlaneManifests, kindsManifests } from "@hauberk/mesh/install/manifests.ts";
import { printObjects } from "@hauberk/mesh/install/output.ts";
import { mergeTrees, parseValues, withoutEffect, type Tree } from "@hauberk/mesh/install/values/values.ts";
import { REVISION } from "@hauberk/mesh/model/revision.ts";
import { RESOURCES } from "@hauberk/mesh/source/kube/resource.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { bundleFlags } from "../bundle-flags.ts";
import { otherFlags, valueFlags, valuesOf } from "../install-flags.ts";
import { MeshCommand } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const Options = z.strictObject({
  ...ClusterOptions,
  charts: z.string().min(1).optional(),
  bundle: z.string().min(1).optional(),
  root: z.string().min(1).optional(),
  mirror: z.string().min(1).optional(),
  crds: z.boolean(),
  "ignore-cluster": z.boolean(),
  revision: z.string().regex(REVISION, "is no name for a revision").optional(),
  output: z.enum(["yaml", "json"]),
});
type Options = z.infer<typeof Options>;

/** Prints what `kubectl apply -f -` installs. */
export class InstallCommand extends MeshCommand {
  static override summary = "Print the manifests of the control plane.";
  static override description =
    "Kinds come first (--crds), then the control plane. Nothing is written to the cluster: it is only asked whether there is a control plane already. The trust anchor and issuer are made here unless files or values give them.";
  static override examples = [
    "<%= config.bin %> install --crds | kubectl apply -f -",
    "<%= config.bin %> install | kubectl apply -f -",
    "<%= config.bin %> install --ha -f values.yaml | kubectl apply -f -",
    "<%= config.bin %> install --revision canary | kubectl apply -f -",
  ];
  static override flags = {
    ...clusterFlags,
    ...valueFlags,
    charts: Flags.string({
      summary:
        "Write the Helm charts of this version below a folder, with the values that are given, and print nothing.",
    }),
    ...bundleFlags,
    root: Flags.string({ summary: "The root document of the bundle's channel.", helpGroup: "BUNDLE" }),
    mirror: Flags.string({
      summary: "HOST/PATH that the bundle was pushed to: hauberk bundle push.",
      helpGroup: "BUNDLE",
    }),
    crds: Flags.boolean({ summary: "Print the kinds.", default: false }),
    "ignore-cluster": Flags.boolean({ summary: "Do not ask the cluster.", default: false }),
    revision: Flags.string({
      summary: "Print a second control plane, for namespaces with the label linkerd.io/rev of this value.",
    }),
    output: Flags.string({ char: "o", summary: "How to print.", options: ["yaml", "json"], default: "yaml" }),
  };

  async run(): Promise<void> {
    const flags = { ...(await this.parse(InstallCommand)).flags };
    const options = Options.parse(otherFlags(flags));
    const given = mergeTrees(await this.#pins(options), await valuesOf(flags));
    if (options.charts !== undefined) return writeCharts(options.charts, given);
    const place = { namespace: options["linkerd-namespace"], version: cliVersion() };
    if (options.revision !== undefined) return this.#revision(options, options.revision, given);
    const rendered = options.crds ? kindsManifests(place) : await this.#controlPlane(options, given);
    this.log(printObjects(rendered, options.output).trimEnd());
  }

  /** The images of a bundle that is proven, by digest, as they lie in the mirror. */
  async #pins({ bundle, root, mirror }: Options): Promise<Tree> {
    if (bundle === undefined || root === undefined || mirror === undefined) return {};
    const { pinned, withBelieved } = await import("../bundle.ts");
    return withBelieved(bundle, { root, channel: "stable" }, (_dir, { release }) => {
      if (release.version !== cliVersion())
        this.error(
          `cli-version: the bundle is ${release.version}, and this program ${cliVersion()}: take the one in it`,
          {
            exit: 1,
          },
        );
      return Promise.resolve(pinned(release, mirror));
    });
  }

  async #controlPlane(options: Options, given: Tree): Promise<readonly Rendered[]> {
    const namespace = options["linkerd-namespace"];
    const nowMs = Date.now();
    const asked = parseValues(given);
    for (const path of withoutEffect(asked)) this.warn(`the value ${path} has no effect here`);
    const authority = authorityOf(asked, nowMs);
    const found = options["ignore-cluster"] ? undefined : await this.#look(options);
    if (authority.type === "external" && authority.anchors === "missing" && found?.anchors === undefined) {
      this.error(
        "the issuer is made elsewhere, and its trust anchors are not known: --identity-trust-anchors-file names them, or the Secret linkerd-identity-issuer has them as ca.crt",
        { exit: 1 },
      );
    }
    const made = authority.type === "missing" ? newAuthority(asked, namespace, nowMs) : {};
    const learnt =
      authority.type === "external" && authority.anchors === "missing"
        ? { identityTrustAnchorsPEM: found?.anchors ?? "" }
        : {};
    const values = parseValues(mergeTrees(mergeTrees(given, made), learnt));
    return controlPlaneManifests({ namespace, version: cliVersion() }, values);
  }

  /** A revision has the values of the control plane that is there, but for those that are given. */
  async #revision(options: Options, revision: string, given: Tree): Promise<void> {
    const [{ revisionManifests }, { KEPT, readInstalled }] = await Promise.all([
      import("@hauberk/mesh/install/revision.ts"),
      import("@hauberk/mesh/install/installed.ts"),
    ]);
    const namespace = options["linkerd-namespace"];
    const client = await connectCluster(options);
    try {
      const found = await Promise.all(
        KEPT.map(({ kind, name }) =>
          client.find({
            type: kind === "Secret" ? RESOURCES.secrets : RESOURCES.configMaps,
            namespace,
            name,
          }),
        ),
      );
      const { values } = readInstalled(found.filter((object) => object !== undefined));
      const rendered = controlPlaneManifests(
        { namespace, version: cliVersion() },
        parseValues(mergeTrees(values, given)),
      );
      this.log(printObjects(revisionManifests(rendered, revision), options.output).trimEnd());
    } finally {
      await client.close();
    }
  }

  /** What the cluster has, or why nothing may be installed in it. */
  async #look(options: Options): Promise<{ readonly anchors: string | undefined }> {
    const { preflight } = await import("../install-preflight.ts");
    const client = await connectCluster(options);
    try {
      const { refusal, notes, anchors } = await preflight(client, options["linkerd-namespace"]);
      if (refusal !== undefined) this.error(refusal, { exit: 1 });
      for (const note of notes) this.warn(note);
      return { anchors };
    } finally {
      await client.close();
    }
  }
}

async function writeCharts(folder: string, given: Tree): Promise<void> {
  const { chartFiles } = await import("@hauberk/mesh/install/helm.ts");
  for (const { path, content } of chartFiles(cliVersion(), given)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}
