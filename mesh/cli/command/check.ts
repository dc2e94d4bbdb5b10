import { setTimeout as sleep } from "node:timers/promises";
import { Flags } from "@oclif/core";
import { z } from "zod";
import type { Result } from "../check/results.ts";
import { EXIT, MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const RETRY_MS = 500;
const Options = z.strictObject({
  name: MeshOptions.name,
  state: MeshOptions.state,
  output: z.enum(["table", "short", "json"]),
  wait: z.number().int().min(0).max(3_600),
});

export class CheckCommand extends MeshCommand {
  static override summary = "Say whether the control plane and the data plane are well.";
  static override flags = {
    ...meshFlags,
    output: Flags.string({
      char: "o",
      summary: "How to print.",
      options: ["table", "short", "json"],
      default: "table",
    }),
    wait: Flags.integer({ summary: "Seconds to wait for all to be well.", default: 0 }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(CheckCommand)).flags });
    const { isHealthy, renderResults, resultsJson } = await import("../check/results.ts");
    const deadline = Date.now() + options.wait * 1_000;
    let results = await this.#look(options);
    while (!isHealthy(results) && Date.now() < deadline) {
      await sleep(RETRY_MS);
      results = await this.#look(options);
    }
    const { output } = options;
    this.log(
      output === "json" ? JSON.stringify(resultsJson(results), undefined, 2) : renderResults(results, output),
    );
    if (!isHealthy(results)) this.exit(EXIT.unwell);
  }

  async #look(options: z.infer<typeof Options>): Promise<readonly Result[]> {
    const [{ gather }, { CHECKS }, { runChecks }] = await Promise.all([
      import("../check/gather.ts"),
      import("../check/checks.ts"),
      import("../check/results.ts"),
    ]);
    const paths = this.paths(options);
    return runChecks(CHECKS, await gather(this.client(paths), paths, cliVersion()));
  }
}
