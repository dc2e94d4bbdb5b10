import { Args } from "@oclif/core";
import { z } from "zod";
import { completionScript, SHELLS } from "../completion.ts";
import { MeshCommand } from "../mesh-command.ts";

export class CompletionCommand extends MeshCommand {
  static override summary = "Print a completion script for a shell.";
  static override examples = ["source <(<%= config.bin %> completion bash)"];
  static override args = {
    shell: Args.string({ description: "bash, zsh or fish.", options: [...SHELLS], required: true }),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(CompletionCommand);
    const { shell } = z.strictObject({ shell: z.enum(SHELLS) }).parse({ ...args });
    const commands = this.config.commands.map(({ id, summary, flags }) => ({
      id,
      summary: summary ?? "",
      flags: Object.values(flags).map(({ name, char, summary }) => ({ name, char, summary: summary ?? "" })),
    }));
    this.log(completionScript(shell, this.config.bin, commands));
  }
}
