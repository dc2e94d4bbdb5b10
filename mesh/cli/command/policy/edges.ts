import { Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { Output, outputFlag, WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject({ ...WorldOptions, output: Output, "all-namespaces": z.boolean() });

export class PolicyEdgesCommand extends WorldCommand {
  static override summary = "List who was let in where, by the counters of all proxies.";
  static override description =
    "What -o json prints is what `policy generate` and `policy simulate` read with --edges.";
  static override examples = [
    "<%= config.bin %> policy edges -n shop",
    "<%= config.bin %> policy edges -A -o json > edges.json",
  ];
  static override flags = {
    ...worldFlags,
    output: outputFlag,
    "all-namespaces": Flags.boolean({ char: "A", summary: "Of every namespace.", default: false }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(PolicyEdgesCommand)).flags });
    const [{ observe }, { renderTable }] = await Promise.all([
      import("../../world/traffic.ts"),
      import("@hauberk/viz/table.ts"),
    ]);
    if (options.filename !== undefined)
      this.error("manifests have no traffic: name a cluster or --state", { exit: EXIT.usage });
    const namespace = options["all-namespaces"] ? undefined : options.namespace;
    const { edges, silent } = await this.withWorld(options, (looked) => observe(looked, namespace));
    for (const line of silent) this.warn(line);
    const table = renderTable(
      [
        { title: "POD", value: ({ namespace: of, pod }) => `${of}/${pod}` },
        { title: "PORT", value: ({ port }) => String(port), align: "right" },
        { title: "PROTOCOL", value: ({ protocol }) => protocol },
        { title: "CLIENT", value: ({ client }) => (client === "" ? "unmeshed" : client) },
        { title: "ROUTE", value: ({ route }) => (route === "" ? "-" : route) },
        { title: "ALLOWED", value: ({ allowed }) => String(allowed), align: "right" },
        { title: "DENIED", value: ({ denied }) => String(denied), align: "right" },
      ],
      edges,
    );
    this.print(options.output, { table, json: edges });
  }
}
