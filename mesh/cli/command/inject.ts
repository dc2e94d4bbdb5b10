import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import type { Mesh } from "@hauberk/mesh/proxy-injector/inject.ts";
import type { Report } from "@hauberk/mesh/proxy-injector/manifest.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { annotationFlags, annotationsOf } from "../inject-flags.ts";
import { joined, readManifests } from "../manifest-input.ts";
import { MeshCommand } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const Options = z.strictObject({
  ...ClusterOptions,
  manual: z.boolean(),
  ingress: z.boolean(),
});
type Options = z.infer<typeof Options>;

/** Prints manifests whose workloads are in the mesh. */
export class InjectCommand extends MeshCommand {
  static override summary = "Print manifests with their workloads put into the mesh.";
  static override description =
    "Workloads are annotated, and the cluster's injector adds the proxy when it sees their pods. With --manual the proxy is written into the manifests, as the cluster's values say. Everything else stays as it was; what was done is reported on standard error.";
  static override examples = [
    "kubectl get deploy -o yaml | <%= config.bin %> inject - | kubectl apply -f -",
    "<%= config.bin %> inject --opaque-ports 3306 deployment.yml | kubectl apply -f -",
    "<%= config.bin %> inject --manual folder/ > injected.yml",
  ];
  static override args = {
    from: Args.string({ description: "A file, a folder, a URL, or - for standard input.", required: true }),
  };
  static override flags = {
    ...clusterFlags,
    ...annotationFlags,
    manual: Flags.boolean({ summary: "Write the proxy into the manifests.", default: false }),
    ingress: Flags.boolean({
      summary: "Route by l5d-dst-override, for ingress controllers.",
      default: false,
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(InjectCommand);
    const { annotations, others } = annotationsOf({ ...flags });
    const options = Options.parse(others);
    const { injectManifests } = await import("@hauberk/mesh/proxy-injector/manifest.ts");
    const manual = options.manual ? await this.#mesh(options) : undefined;
    const done = (await readManifests(args.from)).map(({ name, text }) =>
      injectManifests(text, name, {
        inject: options.ingress ? "ingress" : "enabled",
        annotations,
        manual,
        unsupportedPods: manual?.settings.proxyInjector.unsupportedPods ?? "refuse",
        proxyUid: manual?.settings.proxy.uid ?? PROXY_UID,
      }),
    );
    process.stdout.write(joined(done.map(({ text }) => text)));
    process.stderr.write(report(done.flatMap(({ reports }) => reports)));
  }

  async #mesh(options: Options): Promise<Mesh> {
    const { readMesh } = await import("@hauberk/mesh/proxy-injector/cluster.ts");
    const client = await connectCluster(options);
    try {
      return await readMesh(client, {
        namespace: options["linkerd-namespace"],
        createdBy: `hauberk/cli ${cliVersion()}`,
      });
    } finally {
      await client.close();
    }
  }
}

/** The user of a proxy that nobody has given another. */
const PROXY_UID = 2_102;

/** What was done, one line an object. */
export function report(reports: readonly Report[]): string {
  const lines = reports.map(({ object, outcome, reason }) => {
    const text =
      outcome === "skipped" && !object.includes('"') ? `${object}, skipped` : `${object} ${outcome}`;
    return reason === "" ? text : `${text}: ${reason}`;
  });
  return `\n${lines.join("\n")}\n\n`;
}
