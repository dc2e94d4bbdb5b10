import { Args } from "@oclif/core";
import { z } from "zod";
import { EXIT } from "../../mesh-command.ts";
import { Output, outputFlag, WorldCommand, worldFlags, WorldOptions } from "../../world/command.ts";

const Options = z.strictObject({ ...WorldOptions, output: Output });

export class PolicyCheckCommand extends WorldCommand {
  static override summary = "Judge manifests as the admission webhooks would, before they are applied.";
  static override description =
    "Each object is judged beside the others of the manifests and those of the world: -f or a cluster. The exit code is 1 if one would be refused.";
  static override examples = [
    "<%= config.bin %> policy check manifests/ -f manifests/",
    "<%= config.bin %> policy check new-policy.yaml --context production",
  ];
  static override args = {
    manifests: Args.string({ description: "File or directory of manifests to judge.", required: true }),
  };
  static override flags = { ...worldFlags, output: outputFlag };

  async run(): Promise<void> {
    const parsed = await this.parse(PolicyCheckCommand);
    const options = Options.parse({ ...parsed.flags });
    const args = z.strictObject({ manifests: z.string() }).parse({ ...parsed.args });
    const [{ changedBy }, { validate }, { loadManifests }, { describeObject, fieldPath }] = await Promise.all(
      [
        import("../../world/change.ts"),
        import("@hauberk/mesh/validator/validate.ts"),
        import("@hauberk/mesh/source/manifests/load.ts"),
        import("@hauberk/mesh/source/manifests/document.ts"),
      ],
    );
    const { documents, problems } = await loadManifests([args.manifests]);
    const isRunning = [options.kubeconfig, options.context, options.state].some((one) => one !== undefined);
    const filename = options.filename ?? (isRunning ? undefined : [args.manifests]);
    const before = await this.world({ ...options, filename });
    const context = { ...before, snapshot: changedBy(before.snapshot, { documents, removed: [] }).snapshot };
    const unread = problems.map(({ severity, file, line, object, field, message }) => ({
      severity,
      file,
      line,
      object,
      field,
      message,
    }));
    const judged = documents.flatMap(({ object, file, lineOf }) =>
      validate(object, context).map(({ severity, path, message }) => ({
        severity,
        file,
        line: lineOf(path),
        object: describeObject(object),
        field: fieldPath(path),
        message,
      })),
    );
    const all = [...unread, ...judged];
    const lines = all.map(
      ({ severity, file, line, object, field, message }) =>
        `${severity === "error" ? "×" : "‼"} ${file}:${line}: ${[object, field, message].filter(Boolean).join(": ")}`,
    );
    const refused = all.filter(({ severity }) => severity === "error").length;
    const sum = `${documents.length} objects, ${refused} errors, ${all.length - refused} warnings`;
    this.print(options.output, { table: [...lines, sum].join("\n"), json: all });
    if (refused > 0) this.exit(EXIT.unwell);
  }
}
