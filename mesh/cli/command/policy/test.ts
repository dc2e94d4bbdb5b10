import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject({ ...WorldOptions, output: z.enum(["table", "json", "junit"]) });

export class PolicyTestCommand extends WorldCommand {
  static override summary = "Run test cases of policy: who may call what, and who may not.";
  static override description = [
    "Cases are documents of kind PolicyTest (docs/guide/policy.md). Without -f and without flags of a cluster they",
    "are run against the manifests that lie beside them. The exit code is 1 if a case fails or cannot be read.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> policy test tests/ -f manifests/",
    "<%= config.bin %> policy test tests/ --context staging -o junit",
  ];
  static override args = {
    cases: Args.string({ description: "File or directory of PolicyTest documents.", required: true }),
  };
  static override flags = {
    ...worldFlags,
    output: Flags.string({
      char: "o",
      summary: "How to print.",
      options: ["table", "json", "junit"],
      default: "table",
    }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(PolicyTestCommand);
    const options = Options.parse({ ...parsed.flags });
    const args = z.strictObject({ cases: z.string() }).parse({ ...parsed.args });
    const [{ readCases, runCases, junit }, { loadManifests }] = await Promise.all([
      import("../../world/cases.ts"),
      import("@hauberk/mesh/source/manifests/load.ts"),
    ]);
    const loaded = await loadManifests([args.cases]);
    const { cases, problems } = readCases(loaded.documents);
    const unread = loaded.problems
      .filter(({ severity }) => severity === "error")
      .map(({ file, line, field, message }) => `${file}:${line}: ${field} ${message}`);
    const wrong = [...unread, ...problems];
    if (wrong.length > 0) this.error(wrong.join("\n"), { exit: EXIT.usage });
    if (cases.length === 0) this.error(`${args.cases} holds no PolicyTest`, { exit: EXIT.usage });
    const isRunning = [options.kubeconfig, options.context, options.state].some((one) => one !== undefined);
    const filename = options.filename ?? (isRunning ? undefined : [args.cases]);
    const results = runCases(cases, await this.world({ ...options, filename }));
    const failed = results.filter(({ failure }) => failure !== undefined);
    if (options.output === "junit") this.log(junit(results));
    else {
      const marks = results.map(({ suite, name, failure, file, line }) =>
        failure === undefined
          ? `√ ${suite}: ${name}`
          : `× ${suite}: ${name}\n    ${failure} (${file}:${line})`,
      );
      const sum = `${results.length - failed.length} of ${results.length} cases passed`;
      this.print(options.output, { table: [...marks, sum].join("\n"), json: results });
    }
    if (failed.length > 0) this.exit(EXIT.unwell);
  }
}
