import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject({
  ...WorldOptions,
  output: z.enum(["json", "yaml"]),
  client: z.string().optional(),
});

export class DiagnosticsPolicyCommand extends WorldCommand {
  static override aliases = ["dg:policy"];
  static override summary = "Print the policy that proxies are given for a port.";
  static override description = [
    "Of a workload or Server, what its proxy accepts; of a Service, what clients do with it. It is computed from the",
    "objects as they are, as the controller computes it.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> diagnostics policy -n shop deploy/web 8080",
    "<%= config.bin %> diagnostics policy -n shop svc/web 80 --client-namespace front",
  ];
  static override args = {
    resource: Args.string({ description: "KIND/NAME, as in po/web-0 or svc/web.", required: true }),
    port: Args.string({ description: "Number of the port.", required: true }),
  };
  static override flags = {
    ...worldFlags,
    output: Flags.string({ char: "o", summary: "How to print.", options: ["json", "yaml"], default: "json" }),
    client: Flags.string({
      aliases: ["client-namespace"],
      summary: "Namespace of the client, for a Service; that of the Service, if not given.",
    }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(DiagnosticsPolicyCommand);
    const options = Options.parse({ ...parsed.flags });
    const { resource, port } = z
      .strictObject({ resource: z.string(), port: z.coerce.number().int().min(1).max(65_535) })
      .parse({ ...parsed.args });
    const [{ destinationOf }, { policyAnswers }, { writeYaml }] = await Promise.all([
      import("../../world/words.ts"),
      import("../../world/diagnose.ts"),
      import("@hauberk/mesh/source/manifests/yaml.ts"),
    ]);
    const to = destinationOf(resource, options.namespace);
    if (to === undefined) this.error(`${resource} is not KIND/NAME, as in po/web-0`, { exit: EXIT.usage });
    const client = options.client ?? options.namespace;
    const answers = policyAnswers({ ...to, port }, client, await this.world(options));
    if (answers.length === 0)
      this.error(`${resource} in namespace ${options.namespace} is not there`, { exit: EXIT.unwell });
    this.log(
      options.output === "json" ? JSON.stringify(answers, undefined, 2) : writeYaml(answers).trimEnd(),
    );
  }
}
