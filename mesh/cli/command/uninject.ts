import { Args } from "@oclif/core";
import { joined, readManifests } from "../manifest-input.ts";
import { MeshCommand } from "../mesh-command.ts";
import { report } from "./inject.ts";

/** Prints manifests whose workloads are out of the mesh. */
export class UninjectCommand extends MeshCommand {
  static override summary = "Print manifests with their workloads taken out of the mesh.";
  static override description =
    "Takes away what inject writes: annotations, and the proxy itself where it is in the manifests. Everything else stays as it was; what was done is reported on standard error.";
  static override examples = [
    "kubectl get deploy -o yaml | <%= config.bin %> uninject - | kubectl apply -f -",
  ];
  static override args = {
    from: Args.string({ description: "A file, a folder, a URL, or - for standard input.", required: true }),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(UninjectCommand);
    const { uninjectManifests } = await import("@hauberk/mesh/proxy-injector/manifest.ts");
    const done = (await readManifests(args.from)).map(({ name, text }) => uninjectManifests(text, name));
    process.stdout.write(joined(done.map(({ text }) => text)));
    process.stderr.write(report(done.flatMap(({ reports }) => reports)));
  }
}
