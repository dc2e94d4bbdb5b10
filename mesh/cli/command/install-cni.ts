import { readFile } from "node:fs/promises";
import { Flags } from "@oclif/core";
import { z } from "zod";
import { CniValues } from "@hauberk/mesh/install/cni/values.ts";
import { cniManifests } from "@hauberk/mesh/install/manifests.ts";
import { printObjects } from "@hauberk/mesh/install/output.ts";
import { parseValuesFile } from "@hauberk/mesh/install/values/file.ts";
import { parseSet } from "@hauberk/mesh/install/values/set.ts";
import { mergeTrees, parseWith, type Tree } from "@hauberk/mesh/install/values/values.ts";
import { ClusterOptions, clusterFlags } from "../cluster-flags.ts";
import { MeshCommand } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const Text = z.string().min(1).optional();
const Options = z.strictObject({
  ...ClusterOptions,
  "dest-cni-bin-dir": Text,
  "dest-cni-net-dir": Text,
  "cni-image": Text,
  "cni-image-version": Text,
  "priority-class-name": Text,
  values: z.array(z.string().min(1)).default([]),
  set: z.array(z.string().min(1)).default([]),
  output: z.enum(["yaml", "json"]),
});
type Options = z.infer<typeof Options>;

/** Prints what `kubectl apply -f -` puts on every node. */
export class InstallCniCommand extends MeshCommand {
  static override summary = "Print the manifests of the CNI plugin.";
  static override description =
    "Before the control plane, which is then installed with --linkerd-cni-enabled. What is redirected is written on each pod, so the plugin has no settings of its own for it.";
  static override examples = ["<%= config.bin %> install-cni | kubectl apply -f -"];
  static override flags = {
    ...clusterFlags,
    "dest-cni-bin-dir": Flags.string({ summary: "The node's directory of plugins." }),
    "dest-cni-net-dir": Flags.string({ summary: "The node's directory of network configurations." }),
    "cni-image": Flags.string({ summary: "Image of the plugin: the proxy's." }),
    "cni-image-version": Flags.string({ summary: "Its tag." }),
    "priority-class-name": Flags.string({ summary: "Priority of its pods." }),
    values: Flags.string({ char: "f", summary: "File of values; may be given again.", multiple: true }),
    set: Flags.string({ summary: "NAME=VALUE; may be given again.", multiple: true }),
    output: Flags.string({ char: "o", summary: "How to print.", options: ["yaml", "json"], default: "yaml" }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(InstallCniCommand)).flags });
    const values = parseWith(CniValues, await given(options));
    const place = { namespace: options["cni-namespace"], version: cliVersion() };
    this.log(printObjects(cniManifests(place, values), options.output).trimEnd());
  }
}

async function given(options: Options): Promise<Tree> {
  const { "cni-image": name, "cni-image-version": version } = options;
  const image = { ...(name === undefined ? {} : { name }), ...(version === undefined ? {} : { version }) };
  const files = await Promise.all(
    options.values.map(async (file) => parseValuesFile(await readFile(file, "utf8"), `--values ${file}`)),
  );
  const layers: readonly Tree[] = [
    ...files,
    set("destCNIBinDir", options["dest-cni-bin-dir"]),
    set("destCNINetDir", options["dest-cni-net-dir"]),
    set("priorityClassName", options["priority-class-name"]),
    { image },
  ];
  return options.set.reduce<Tree>(
    (tree, option) => parseSet(option, { typed: true }, tree),
    layers.reduce(mergeTrees, {}),
  );
}

function set(path: "destCNIBinDir" | "destCNINetDir" | "priorityClassName", text: string | undefined): Tree {
  return text === undefined ? {} : { [path]: text };
}
