import { Args, Flags } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { Output, outputFlag, WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject({
  ...WorldOptions,
  output: Output,
  from: z.string(),
  ip: z.string().optional(),
  method: z.string().optional(),
  path: z.string().optional(),
  host: z.string().optional(),
  header: z.array(z.string()).optional(),
  bytes: z.boolean(),
});

export class PolicyExplainCommand extends WorldCommand {
  static override summary = "Say why a request is allowed or denied: the chain of objects that decide.";
  static override description = [
    "The verdict is that of the answer which proxies get from the control plane.",
    "The exit code is 0 if every workload behind the resource lets the request in, and 1 otherwise.",
  ].join(" ");
  static override examples = [
    "<%= config.bin %> policy explain -n shop --from shop/frontend deploy/web:8080 --path /admin",
    "<%= config.bin %> policy explain -f manifests/ -n shop --from unmeshed svc/web:80",
  ];
  static override args = {
    resource: Args.string({ description: "KIND/NAME:PORT, as in deploy/web:80.", required: true }),
  };
  static override flags = {
    ...worldFlags,
    output: outputFlag,
    from: Flags.string({
      summary: "Who asks: NAMESPACE/SERVICEACCOUNT, an identity, or unmeshed.",
      required: true,
    }),
    ip: Flags.string({ summary: "Address of the client; where its pod is, if not given." }),
    method: Flags.string({ summary: "Method of the request.", default: "GET" }),
    path: Flags.string({ summary: "Path of the request, with its query.", default: "/" }),
    host: Flags.string({ summary: "Host of the request." }),
    header: Flags.string({
      summary: "NAME: VALUE of a header; may be given again.",
      multiple: true,
      multipleNonGreedy: true,
    }),
    bytes: Flags.boolean({ summary: "Ask about bytes that are no request.", default: false }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(PolicyExplainCommand);
    const options = Options.parse({ ...parsed.flags });
    const { resource } = z.strictObject({ resource: z.string() }).parse({ ...parsed.args });
    const [{ QuestionWords }, { ask }, { explainAnswers }] = await Promise.all([
      import("../../world/words.ts"),
      import("@hauberk/mesh/policy/question.ts"),
      import("../../world/explain.ts"),
    ]);
    const question = QuestionWords.parse({ ...options, to: resource });
    const world = await this.world(options);
    const answers = ask(question, world);
    if (answers.length === 0)
      this.error(`${resource} in namespace ${options.namespace} has no such port, or is not there`, {
        exit: EXIT.unwell,
      });
    this.print(options.output, { table: explainAnswers(answers), json: answers });
    if (answers.some(({ verdict }) => verdict.type === "denied")) this.exit(EXIT.unwell);
  }
}
