import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";

/** Containers have three seconds; the rest is for a machine under load. */
const DOWN_MS_MAX = 30_000;
const POLL_MS = 50;
const Options = z.strictObject({ name: MeshOptions.name, state: MeshOptions.state });

export class DownCommand extends MeshCommand {
  static override summary = "Stop a mesh that hauberk up started, and leave nothing behind.";
  static override flags = { name: meshFlags.name, state: meshFlags.state };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(DownCommand)).flags });
    const paths = this.paths(options);
    await this.client(paths).stop();
    for (let waited = 0; existsSync(paths.dir); waited += POLL_MS) {
      if (waited > DOWN_MS_MAX)
        this.error(`${paths.dir} is still there after ${DOWN_MS_MAX / 1_000} s`, { exit: 1 });
      await sleep(POLL_MS);
    }
    this.log(`mesh ${options.name} is down`);
  }
}
