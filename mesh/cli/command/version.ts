import { Flags } from "@oclif/core";
import { z } from "zod";
import { ControlError } from "@hauberk/mesh/standalone/control-client.ts";
import { MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import { cliVersion } from "../version.ts";

const Options = z.strictObject({ ...MeshOptions, client: z.boolean(), short: z.boolean() });

export class VersionCommand extends MeshCommand {
  static override summary = "Print the versions of this program and of the running mesh.";
  static override flags = {
    ...meshFlags,
    client: Flags.boolean({ summary: "Only this program's.", default: false }),
    short: Flags.boolean({ summary: "Only the numbers.", default: false }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(VersionCommand)).flags });
    const client = cliVersion();
    const server = options.client ? undefined : await this.#server(options);
    if (options.output === "json") {
      this.log(
        JSON.stringify({ client, ...(options.client ? {} : { server: server ?? null }) }, undefined, 2),
      );
      return;
    }
    this.log(options.short ? client : `Client version: ${client}`);
    if (!options.client)
      this.log(options.short ? (server ?? "unavailable") : `Server version: ${server ?? "unavailable"}`);
  }

  async #server(options: z.infer<typeof Options>): Promise<string | undefined> {
    try {
      return (await this.client(this.paths(options)).status()).version;
    } catch (error) {
      if (error instanceof ControlError) return undefined;
      throw error;
    }
  }
}
