import { readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { Args, Flags } from "@oclif/core";
import { digest } from "@hauberk/crypto/digest.ts";
import { FRAMEWORKS, isFramework, type Framework } from "@hauberk/compliance/catalogue/control.ts";
import { z } from "zod";
import { EXIT, MeshCommand } from "../mesh-command.ts";
import { FORMATS } from "../compliance/render.ts";
import { WorldCommand, worldFlags, WorldOptions } from "../world/command.ts";

const FRAMEWORK_NAMES = Object.keys(FRAMEWORKS).filter(isFramework);

const Options = z.strictObject({
  ...WorldOptions,
  format: z.enum(FORMATS),
  framework: z.array(z.string().refine(isFramework)).default([]),
  release: z.string().min(1).optional(),
  tag: z.string().min(1),
  image: z.array(z.string().min(1)).default([]),
  "plain-http": z.boolean(),
  trust: z.string().min(1).optional(),
  record: z.string().min(1).optional(),
  exempt: z.array(z.string().min(1)).default([]),
  evidence: z.string().min(1).optional(),
  "save-evidence": z.string().min(1).optional(),
  key: z.string().min(1).optional(),
  output: z.string().min(1).optional(),
});
type Options = z.infer<typeof Options>;

/** A file that a flag names. @throws naming the flag. */
async function fileOf(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`--${flag}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

export class ComplianceReportCommand extends WorldCommand {
  static override summary = "Report which controls the mesh's evidence shows to be satisfied.";
  static override description =
    "Each statement is satisfied, not satisfied or not assessable, with the evidence that decided. Nothing is satisfied without evidence. " +
    "The mesh is asked live (a cluster, or --state), the release by its attestations (--release with --trust).";
  static override examples = [
    "<%= config.bin %> compliance report",
    "<%= config.bin %> compliance report --release release-1.0.0 --trust trust.json --format html -o report.html",
    "<%= config.bin %> compliance report --framework nist-800-53 --format oscal --key keys -o results.json",
  ];
  static override flags = {
    ...worldFlags,
    format: Flags.string({ summary: "What to make.", options: [...FORMATS], default: "table" }),
    framework: Flags.string({
      summary: "Only this framework; may be given again.",
      options: FRAMEWORK_NAMES,
      multiple: true,
    }),
    release: Flags.string({ summary: "The release's folder, or HOST/PATH of its images." }),
    tag: Flags.string({ summary: "Tag or digest in a registry.", default: "latest" }),
    image: Flags.string({ summary: "Only this image of the release; may be given again.", multiple: true }),
    "plain-http": Flags.boolean({ summary: "Speak to the registry without TLS.", default: false }),
    trust: Flags.string({ summary: "Whom to believe of the release: names and keys of builder and gate." }),
    record: Flags.string({ summary: "An exported audit record, instead of the cluster's." }),
    exempt: Flags.string({
      summary: "A namespace whose pods need no proxy; may be given again.",
      multiple: true,
    }),
    evidence: Flags.string({ summary: "Judge evidence that was saved, and ask nothing." }),
    "save-evidence": Flags.string({ summary: "Save the evidence in this file." }),
    key: Flags.string({ summary: "Folder with the keys to sign with (hauberk compliance keys makes one)." }),
    output: Flags.string({ char: "o", summary: "File to write; the terminal otherwise." }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(ComplianceReportCommand)).flags });
    if (options.key !== undefined && options.output === undefined)
      this.error("--key: the signature lies beside a file: name one with -o", { exit: EXIT.usage });
    if (options.format === "pdf" && options.output === undefined)
      this.error("--format pdf: name a file with -o", { exit: EXIT.usage });
    const [{ readEvidence }, { reportOf }, { rendered }] = await Promise.all([
      import("@hauberk/compliance/evidence/evidence.ts"),
      import("@hauberk/compliance/report/report.ts"),
      import("../compliance/render.ts"),
    ]);
    const text =
      options.evidence === undefined
        ? `${JSON.stringify(await this.#gathered(options), undefined, 2)}\n`
        : await fileOf("evidence", options.evidence);
    if (options["save-evidence"] !== undefined) await writeFile(options["save-evidence"], text);
    const evidence = readEvidence(text);
    const frameworks: readonly Framework[] =
      options.framework.length > 0 ? options.framework : FRAMEWORK_NAMES;
    const report = reportOf(evidence, { digest: digest(Buffer.from(text)), frameworks });
    const bytes = await rendered(report, options.format);
    if (options.output === undefined) {
      this.log(Buffer.from(bytes).toString("utf8").trimEnd());
      return;
    }
    await writeFile(options.output, bytes);
    if (options.key !== undefined) await this.#sign(options.key, { file: options.output, bytes, report });
    const { describeTally } = await import("@hauberk/compliance/report/text.ts");
    this.logToStderr(`${options.output}: ${describeTally(report.statements)}`);
  }

  async #gathered(options: Options) {
    if (options.filename !== undefined)
      this.error("manifests show nothing that runs: name a cluster or --state", { exit: EXIT.usage });
    if ((options.release === undefined) !== (options.trust === undefined))
      this.error("--release and --trust go together", { exit: EXIT.usage });
    const [{ collect }, trust, record] = await Promise.all([
      import("../compliance/collect.ts"),
      options.trust === undefined ? undefined : fileOf("trust", options.trust),
      options.record === undefined ? undefined : fileOf("record", options.record),
    ]);
    const release =
      options.release === undefined || trust === undefined
        ? undefined
        : {
            where: options.release,
            tag: options.tag,
            isPlainHttp: options["plain-http"],
            names: options.image,
            trust,
          };
    const scope = { namespace: options["linkerd-namespace"], exempt: options.exempt };
    return this.withWorld(options, ({ place, ...looked }) => {
      if (place === undefined) return this.error("nothing runs there", { exit: EXIT.notRunning });
      return collect(
        { ...looked, place },
        {
          scope,
          release,
          record:
            options.record === undefined || record === undefined
              ? undefined
              : { name: options.record, text: record },
        },
      );
    });
  }

  async #sign(
    dir: string,
    {
      file,
      bytes,
      report,
    }: {
      file: string;
      bytes: Uint8Array;
      report: { at: string; evidence: string; system: { name: string } };
    },
  ): Promise<void> {
    const [{ readSigner }, { attestFile }] = await Promise.all([
      import("@hauberk/release/attest/keys.ts"),
      import("@hauberk/compliance/sign/attest.ts"),
    ]);
    const { at, evidence, system } = report;
    const signer = await readSigner(dir);
    const envelope = attestFile(
      { name: basename(file), bytes },
      { at, evidence, system: system.name },
      signer,
    );
    await writeFile(`${file}.dsse`, envelope);
  }
}

const fileArg = (description: string) => Args.string({ description, required: true });

export class ComplianceVerifyCommand extends MeshCommand {
  static override summary = "Verify that a report is what the owner of two keys signed.";
  static override description =
    "The signature lies beside the report as FILE.dsse. Exit code 0 only if the ECDSA P-256 and the ML-DSA-87 signature are good and the file is the one that was signed.";
  static override examples = ["<%= config.bin %> compliance verify report.html --keys public.json"];
  static override args = { file: fileArg("The report.") };
  static override flags = {
    keys: Flags.string({
      summary: "File with the public keys (public.json of hauberk compliance keys).",
      required: true,
    }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(ComplianceVerifyCommand);
    const { keys } = z.strictObject({ keys: z.string().min(1) }).parse({ ...parsed.flags });
    const { file } = z.strictObject({ file: z.string().min(1) }).parse({ ...parsed.args });
    const [{ verifyFile }, { keysFromPem }] = await Promise.all([
      import("@hauberk/compliance/sign/attest.ts"),
      import("../audit/keys.ts"),
    ]);
    const envelope = await fileOf("file", `${file}.dsse`);
    const verdict = verifyFile(
      await readFile(file),
      envelope,
      keysFromPem(JSON.parse(await fileOf("keys", keys))),
    );
    if (!verdict.ok) this.error(`${file}: ${verdict.fault}: ${verdict.detail}`, { exit: EXIT.unwell });
    const { at, system, evidence } = verdict.predicate;
    this.log(`${file}: signed with both keys; evidence of ${at} from ${system}, ${evidence}`);
  }
}

export class ComplianceKeysCommand extends MeshCommand {
  static override summary = "Make the keys that reports are signed with.";
  static override examples = ["<%= config.bin %> compliance keys keys"];
  static override args = { dir: fileArg("Folder for the keys.") };

  async run(): Promise<void> {
    const { dir } = z.strictObject({ dir: z.string().min(1) }).parse({
      ...(await this.parse(ComplianceKeysCommand)).args,
    });
    const [{ makeSigner }, { keysAsPem }] = await Promise.all([
      import("@hauberk/release/attest/keys.ts"),
      import("../audit/keys.ts"),
    ]);
    const { classical, postQuantum } = await makeSigner(dir);
    const pem = keysAsPem({ classical: classical.publicKey, postQuantum: postQuantum.publicKey });
    await writeFile(`${dir}/public.json`, `${JSON.stringify(pem, undefined, 2)}\n`);
    this.log(`${dir}: ecdsa-p256.pem and ml-dsa-87.pem to sign with, public.json to verify with`);
  }
}

export class ComplianceDiffCommand extends MeshCommand {
  static override summary = "Say which statements changed between two reports.";
  static override description = "Both are reports of --format json. Exit code 1 if anything is worse.";
  static override examples = ["<%= config.bin %> compliance diff monday.json today.json"];
  static override args = { before: fileArg("The earlier report."), after: fileArg("The later report.") };
  static override flags = {
    output: Flags.string({
      char: "o",
      summary: "How to print.",
      options: ["table", "json"],
      default: "table",
    }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(ComplianceDiffCommand);
    const { output } = z.strictObject({ output: z.enum(["table", "json"]) }).parse({ ...parsed.flags });
    const files = z
      .strictObject({ before: z.string().min(1), after: z.string().min(1) })
      .parse({ ...parsed.args });
    const [{ readReport }, { diff }, { describeChanges }] = await Promise.all([
      import("@hauberk/compliance/report/report.ts"),
      import("@hauberk/compliance/report/diff.ts"),
      import("@hauberk/compliance/report/text.ts"),
    ]);
    const [before, after] = [
      readReport(await fileOf("before", files.before)),
      readReport(await fileOf("after", files.after)),
    ];
    const changes = diff(before, after);
    this.print(output, { table: describeChanges(changes), json: changes });
    const isWorse = changes.some(
      ({ before: was, after: is }) => is === "not-satisfied" || was === "satisfied",
    );
    if (isWorse) this.exit(EXIT.unwell);
  }
}
