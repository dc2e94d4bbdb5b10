import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { edgeStatTable, routeTable, workloadTable } from "@hauberk/viz/tables.ts";
import { LiveCommand } from "../live/command.ts";
import { LiveOptions, liveFlags } from "../live/where.ts";

const Options = z.strictObject({
  ...LiveOptions,
  by: z.enum(["workload", "route", "edge"]),
  window: z.number().int().min(1).max(60),
});

export class StatCommand extends LiveCommand {
  static override summary = "Show success rate, requests per second and latencies.";
  static override description =
    "Everything is measured by the proxies; the applications know nothing of it. On a cluster proxies are asked twice, as far apart as --window says.";
  static override examples = [
    "<%= config.bin %> stat",
    "<%= config.bin %> stat --by route",
    "<%= config.bin %> stat prod -o json",
  ];
  static override args = {
    namespace: Args.string({ description: "Only workloads, services or sources of this namespace." }),
  };
  static override flags = {
    ...liveFlags,
    by: Flags.string({
      summary: "What makes a line.",
      options: ["workload", "route", "edge"],
      default: "workload",
    }),
    window: Flags.integer({
      char: "t",
      summary: "Seconds to look back, or on a cluster to wait; at most 60.",
      default: 10,
    }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(StatCommand);
    const options = Options.parse({ ...parsed.flags });
    const { namespace } = z.strictObject({ namespace: z.string().optional() }).parse({ ...parsed.args });
    const isShown = (name: string): boolean => namespace === undefined || name === namespace;
    const report = await this.report(options, options.window * 1_000);
    const rows = {
      workload: report.workloads.filter((row) => isShown(row.namespace)),
      route: report.routes.filter(({ parent }) => isShown(parent.split("/")[0] ?? "")),
      edge: report.edges.filter(({ source }) => isShown(source.namespace)),
    };
    const table = {
      workload: () => workloadTable(rows.workload),
      route: () => routeTable(rows.route),
      edge: () => edgeStatTable(rows.edge),
    };
    this.print(options.output, { table: table[options.by](), json: rows[options.by] });
  }
}
