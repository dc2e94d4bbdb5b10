import { Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { Output, outputFlag, WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject({
  ...WorldOptions,
  output: Output,
  apply: z.array(z.string().min(1)).optional(),
  delete: z.array(z.string().min(1)).optional(),
  "default-inbound-policy": z.string().optional(),
  edges: z.string().min(1).optional(),
  observed: z.boolean(),
});

export class PolicySimulateCommand extends WorldCommand {
  static override summary = "Show whose access a change of policy would turn, before it is made.";
  static override description = [
    "The change is applied in memory. Every edge that the objects make possible (each service account, and somebody",
    "without the mesh, to each port of each workload, by each route), and every one that the proxies have counted, is",
    "judged before and after. The exit code is 1 if somebody who was seen would be denied.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> policy simulate --apply new/",
    "<%= config.bin %> policy simulate -f manifests/ --apply new/ --delete AuthorizationPolicy/shop/web",
    "<%= config.bin %> policy simulate --default-inbound-policy deny --edges edges.json",
  ];
  static override flags = {
    ...worldFlags,
    output: outputFlag,
    apply: Flags.string({
      summary: "File or directory to apply; may be given again.",
      multiple: true,
      multipleNonGreedy: true,
    }),
    delete: Flags.string({
      summary: "KIND/NAMESPACE/NAME to delete; may be given again.",
      multiple: true,
      multipleNonGreedy: true,
    }),
    "default-inbound-policy": Flags.string({ summary: "Default for ports without a Server." }),
    edges: Flags.string({ summary: "File of `policy edges -o json` instead of asking the proxies." }),
    observed: Flags.boolean({ summary: "Only edges that were seen.", default: false }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(PolicySimulateCommand)).flags });
    const [{ observe, readEdges }, { simulate, readChange }, { renderTable }] = await Promise.all([
      import("../../world/traffic.ts"),
      import("../../world/simulate.ts"),
      import("@hauberk/viz/table.ts"),
    ]);
    const change = await readChange({
      apply: options.apply ?? [],
      remove: options.delete ?? [],
      defaultInboundPolicy: options["default-inbound-policy"],
    });
    if (!change.ok) this.error(change.problems.join("\n"), { exit: EXIT.usage });
    await this.withWorld(options, async (looked) => {
      const { edges, silent } =
        options.edges === undefined
          ? await observe(looked, undefined)
          : { edges: await readEdges(options.edges), silent: [] };
      for (const line of silent) this.warn(line);
      const result = simulate(looked.world, change, { observed: edges, onlyObserved: options.observed });
      if (result.problems.length > 0) this.error(result.problems.join("\n"), { exit: EXIT.usage });
      for (const line of result.refused) this.warn(`admission would refuse ${line}`);
      const table = renderTable(
        [
          { title: "SEEN", value: ({ isObserved }) => (isObserved ? "yes" : "-") },
          { title: "FROM", value: ({ from }) => from },
          { title: "TO", value: ({ to }) => to },
          { title: "REQUEST", value: ({ request }) => request },
          { title: "BEFORE", value: ({ before }) => before },
          { title: "AFTER", value: ({ after }) => after },
        ],
        result.changed,
      );
      const sum = `${result.changed.length} of ${result.judged} edges change`;
      this.print(options.output, {
        table: result.changed.length === 0 ? sum : `${table}\n${sum}`,
        json: { judged: result.judged, changed: result.changed, refused: result.refused },
      });
      if (result.changed.some(({ isObserved, isLoss }) => isObserved && isLoss)) this.exit(EXIT.unwell);
    });
  }
}
