import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject(WorldOptions);

export class DiagnosticsControllerMetricsCommand extends WorldCommand {
  static override aliases = ["dg:controller-metrics"];
  static override summary = "Print the metrics of the control plane's components as they give them.";
  static override examples = ["<%= config.bin %> diagnostics controller-metrics"];
  static override flags = worldFlags;

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(DiagnosticsControllerMetricsCommand)).flags });
    const { controllerPorts, scrape, renderScrapes } = await import("../../world/scrape.ts");
    await this.withWorld(options, async ({ world, pods }) => {
      if (pods === undefined || options.state !== undefined)
        this.error("only a cluster's control plane is asked here; a standalone one serves /metrics itself", {
          exit: EXIT.usage,
        });
      const targets = controllerPorts(world.snapshot, options["linkerd-namespace"]);
      if (targets.length === 0)
        this.error(`namespace ${options["linkerd-namespace"]} has no pods of a control plane`, {
          exit: EXIT.unwell,
        });
      const answers = await Promise.all(targets.map(({ pod, port }) => scrape([pod], pods.askPort(port))));
      this.log(renderScrapes(answers.flat()));
      if (answers.flat().some(({ answer }) => !answer.ok)) this.exit(EXIT.unwell);
    });
  }
}
