import { Args } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject(WorldOptions);

export class DiagnosticsProfileCommand extends WorldCommand {
  static override aliases = ["dg:profile"];
  static override summary = "Print what proxies are told that an address or a name is.";
  static override examples = [
    "<%= config.bin %> diagnostics profile web.shop.svc.cluster.local:80",
    "<%= config.bin %> diagnostics profile 10.96.0.10:80 -n front",
  ];
  static override args = {
    authority: Args.string({ description: "HOST:PORT, as a client dials it.", required: true }),
  };
  static override flags = worldFlags;

  async run(): Promise<void> {
    const parsed = await this.parse(DiagnosticsProfileCommand);
    const options = Options.parse({ ...parsed.flags });
    const { authority } = z.strictObject({ authority: z.string() }).parse({ ...parsed.args });
    const { profileAnswer } = await import("../../world/diagnose.ts");
    const found = profileAnswer(authority, options.namespace, await this.world(options));
    if (!found.ok) this.error(found.why, { exit: EXIT.unwell });
    this.log(JSON.stringify(found.profile, undefined, 2));
  }
}
