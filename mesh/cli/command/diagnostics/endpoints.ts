import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { Output, outputFlag, WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";
import type { EndpointRow } from "../../world/diagnose.ts";

const Options = z.strictObject({ ...WorldOptions, output: Output });

export class DiagnosticsEndpointsCommand extends WorldCommand {
  static override aliases = ["dg:endpoints"];
  static override strict = false;
  static override summary = "List the endpoints that proxies are given for authorities.";
  static override examples = [
    "<%= config.bin %> diagnostics endpoints web.shop.svc.cluster.local:80",
    "<%= config.bin %> dg endpoints -f manifests/ web.shop.svc.cluster.local:80 -o json",
  ];
  static override usage = "diagnostics endpoints AUTHORITY...";
  static override flags = { ...worldFlags, output: outputFlag };

  async run(): Promise<void> {
    const parsed = await this.parse(DiagnosticsEndpointsCommand);
    const options = Options.parse({ ...parsed.flags });
    const authorities = z.array(z.string()).parse(parsed.argv);
    if (authorities.length === 0)
      this.error("an authority is required, as in web.shop.svc.cluster.local:80", { exit: EXIT.usage });
    const [{ endpointsOf }, { renderTable }] = await Promise.all([
      import("../../world/diagnose.ts"),
      import("@hauberk/viz/table.ts"),
    ]);
    const world = await this.world(options);
    const rows: EndpointRow[] = [];
    for (const authority of authorities) {
      const found = endpointsOf(authority, world);
      if (!found.ok) this.error(found.why, { exit: EXIT.unwell });
      rows.push(...found.rows);
    }
    const table = renderTable(
      [
        { title: "NAMESPACE", value: ({ namespace }) => namespace },
        { title: "IP", value: ({ ip }) => ip },
        { title: "PORT", value: ({ port }) => String(port), align: "right" },
        { title: "POD", value: ({ pod }) => pod },
        { title: "SERVICE", value: ({ service }) => service },
        { title: "IDENTITY", value: ({ identity }) => (identity === "" ? "-" : identity) },
      ],
      rows,
    );
    this.print(options.output, { table: rows.length === 0 ? "No endpoints found." : table, json: rows });
    if (rows.length === 0) this.exit(EXIT.unwell);
  }
}
