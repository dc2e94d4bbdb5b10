import { Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject({
  ...WorldOptions,
  output: z.enum(["yaml", "json"]),
  edges: z.string().min(1).optional(),
  "all-namespaces": z.boolean(),
  audit: z.boolean(),
});

export class PolicyGenerateCommand extends WorldCommand {
  static override summary = "Write policies of least privilege from the traffic that was seen.";
  static override description = [
    "A Server for each port that got traffic, and an AuthorizationPolicy for exactly those identities that were let",
    "in. What comes out is tried on all that was seen before it is printed. Nothing is applied.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> policy generate -n shop > policy.yaml",
    "<%= config.bin %> policy generate -n shop --audit | kubectl apply -f -",
    "<%= config.bin %> policy generate -f manifests/ --edges edges.json -A",
  ];
  static override flags = {
    ...worldFlags,
    output: Flags.string({ char: "o", summary: "How to print.", options: ["yaml", "json"], default: "yaml" }),
    edges: Flags.string({ summary: "File of `policy edges -o json` instead of asking the proxies." }),
    "all-namespaces": Flags.boolean({ char: "A", summary: "Of every namespace.", default: false }),
    audit: Flags.boolean({
      summary: "Servers admit everybody for now, and count whom they would not.",
      default: false,
    }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(PolicyGenerateCommand)).flags });
    const [{ observe, readEdges }, { suggestPolicies }, { tried }, { writeYaml }] = await Promise.all([
      import("../../world/traffic.ts"),
      import("@hauberk/mesh/policy/suggest.ts"),
      import("../../world/tried.ts"),
      import("@hauberk/mesh/source/manifests/yaml.ts"),
    ]);
    const namespace = options["all-namespaces"] ? undefined : options.namespace;
    await this.withWorld(options, async (looked) => {
      const { edges, silent } =
        options.edges === undefined
          ? await observe(looked, namespace)
          : { edges: await readEdges(options.edges), silent: [] };
      for (const line of silent) this.warn(line);
      const seen = edges.filter((edge) => namespace === undefined || edge.namespace === namespace);
      if (seen.length === 0)
        this.error("no traffic was seen: nothing to generate from", { exit: EXIT.unwell });
      const accessPolicy = options.audit ? "audit" : "deny";
      const { objects, notes } = suggestPolicies(seen, looked.world, { accessPolicy });
      for (const note of notes) this.warn(note);
      for (const lost of tried(objects, seen, looked.world)) this.warn(`would be denied: ${lost}`);
      this.log(
        options.output === "json" ? JSON.stringify(objects, undefined, 2) : writeYaml(objects).trimEnd(),
      );
    });
  }
}
