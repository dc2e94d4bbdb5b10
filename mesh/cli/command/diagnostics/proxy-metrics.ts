import { Args } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject(WorldOptions);

export class DiagnosticsProxyMetricsCommand extends WorldCommand {
  static override aliases = ["dg:proxy-metrics"];
  static override summary = "Print the metrics of proxies as they give them.";
  static override examples = [
    "<%= config.bin %> diagnostics proxy-metrics -n shop deploy/web",
    "<%= config.bin %> dg proxy-metrics -n shop po/web-0",
  ];
  static override args = {
    resource: Args.string({ description: "KIND/NAME, as in deploy/web.", required: true }),
  };
  static override flags = worldFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(DiagnosticsProxyMetricsCommand);
    const options = Options.parse({ ...parsed.flags });
    const { resource } = z.strictObject({ resource: z.string() }).parse({ ...parsed.args });
    const [{ destinationOf }, { podsOf, scrape, renderScrapes }] = await Promise.all([
      import("../../world/words.ts"),
      import("../../world/scrape.ts"),
    ]);
    const to = destinationOf(resource, options.namespace);
    if (to === undefined) this.error(`${resource} is not KIND/NAME, as in deploy/web`, { exit: EXIT.usage });
    await this.withWorld(options, async ({ world, pods }) => {
      if (pods === undefined)
        this.error("manifests have no proxies: name a cluster or --state", { exit: EXIT.usage });
      const targets = podsOf(to, world);
      if (targets.length === 0)
        this.error(`${resource} in namespace ${options.namespace} has no pods with a proxy`, {
          exit: EXIT.unwell,
        });
      const answers = await scrape(targets, pods.ask);
      this.log(renderScrapes(answers));
      if (answers.some(({ answer }) => !answer.ok)) this.exit(EXIT.unwell);
    });
  }
}
