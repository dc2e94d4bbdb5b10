import { Args, Flags } from "@oclif/core";
import { CHANNELS } from "@hauberk/release/channel/roles.ts";
import { z } from "zod";
import { withBelieved } from "../bundle.ts";
import { MeshCommand } from "../mesh-command.ts";

const Options = z.strictObject({
  root: z.string().min(1),
  channel: z.enum(CHANNELS),
  "plain-http": z.boolean(),
});

/** Puts what is in a bundle where a cluster without a network pulls from. */
export class BundlePushCommand extends MeshCommand {
  static override summary = "Prove an air-gap bundle, and push everything in it into a registry.";
  static override description =
    "Images, charts, definitions and archives lie at HOST/PATH/NAME afterwards, tagged with the release's version, with everything that is attached to them. Nothing is pushed unless every demand is met. A password comes from REGISTRY_USERNAME and REGISTRY_PASSWORD.";
  static override examples = [
    "<%= config.bin %> bundle push hauberk-1.0.0.bundle.tar HOST/PATH --root 1.root.json",
  ];
  static override args = {
    bundle: Args.string({ description: "The bundle.", required: true }),
    where: Args.string({ description: "HOST[:PORT]/PATH.", required: true }),
  };
  static override flags = {
    root: Flags.string({ summary: "The channel's root document, which you trust.", required: true }),
    channel: Flags.string({ summary: "The channel.", options: [...CHANNELS], default: "stable" }),
    "plain-http": Flags.boolean({ summary: "Speak to the registry without TLS.", default: false }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BundlePushCommand);
    const options = Options.parse({ ...flags });
    const { pushRelease } = await import("@hauberk/release/airgap/push.ts");
    await withBelieved(args.bundle, options, (dir, { release }) =>
      pushRelease(dir, release, {
        target: { where: args.where, isPlainHttp: options["plain-http"] },
        said: (line) => this.log(line),
      }),
    );
  }
}
