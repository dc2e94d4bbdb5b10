import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Args, Flags } from "@oclif/core";
import { isKindName, KINDS } from "@hauberk/release/kinds.ts";
import { readTrust } from "@hauberk/release/attest/keys.ts";
import { withBundle } from "@hauberk/release/airgap/unpack.ts";
import { contentsOf, readDescription } from "@hauberk/release/channel/release.ts";
import { Layout } from "@hauberk/release/oci/layout.ts";
import { auditLogs, describeAudit, signedIn } from "@hauberk/release/verify/log-audit.ts";
import {
  describeRelease,
  failures,
  isFolder,
  notClaimed,
  verifyRelease,
  type ImageChecks,
} from "@hauberk/release/verify/release.ts";
import { CHANNELS } from "@hauberk/release/channel/roles.ts";
import type { Trust } from "@hauberk/release/verify/trust.ts";
import { z } from "zod";
import { isFile, withProven } from "../bundle.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";

const Options = z.strictObject({
  trust: z.string().min(1).optional(),
  root: z.string().min(1).optional(),
  channel: z.enum(CHANNELS),
  tag: z.string().min(1),
  image: z.array(z.enum(KINDS)),
  "plain-http": z.boolean(),
  rebuild: z.boolean(),
  source: z.string().min(1),
  log: z.string().min(1).optional(),
  explained: z.array(z.string().min(1)),
  output: z.enum(["table", "json"]),
});
type Options = z.infer<typeof Options>;

/** `HOST/PATH/proxy@sha256:…` and `HOST/PATH/proxy:1.0.0` name one image of a release. */
const ONE_IMAGE = /^(?<path>.+)\/(?<name>[a-z-]+)(?:@(?<digest>sha256:[0-9a-f]{64})|:(?<tag>[\w.-]+))?$/;

interface Asked {
  readonly where: string;
  readonly tag: string;
  readonly names: readonly string[];
}

async function askedOf(where: string, options: Options): Promise<Asked> {
  if (isFolder(where)) {
    const release = readDescription(await readFile(join(resolve(where), "release.json")));
    const names = options.image.length > 0 ? options.image : Object.keys(contentsOf(release));
    return { where, tag: options.tag, names };
  }
  const { path, name, digest, tag } = ONE_IMAGE.exec(where)?.groups ?? {};
  if (path !== undefined && name !== undefined && isKindName(name))
    return { where: path, tag: digest ?? tag ?? options.tag, names: [name] };
  return { where, tag: options.tag, names: options.image.length > 0 ? options.image : KINDS };
}

/** Makes the release again from a checkout, by the checkout's own pipeline. */
function rebuild(where: string, source: string): Promise<number> {
  const args = [join(source, "setup.mjs"), "--run", "release", "--", "rebuild", resolve(where)];
  return new Promise((done) => {
    const child = execFile("node", args, (error) => done(error === null ? 0 : EXIT.unwell));
    child.stdout?.pipe(process.stdout);
    child.stderr?.pipe(process.stderr);
  });
}

/** The logs, read whole; how many entries of ours nothing explains. */
async function audit(where: string, trust: Trust, { log, explained }: Options): Promise<number> {
  const layouts = await Promise.all(
    [where, ...explained].map((dir) => Layout.open(join(resolve(dir), "images"))),
  );
  const audits = await auditLogs(trust, await signedIn(layouts), log);
  for (const one of audits) process.stdout.write(describeAudit(one));
  return audits.flatMap(({ unexplained }) => unexplained).length;
}

export class VerifyCommand extends MeshCommand {
  static override summary = "Prove who built an image or a release, from what, and what was found in it.";
  static override description =
    "Everything that is attached is checked against the keys of a trust file: signature, provenance, bill of materials, vulnerabilities, the gate's summary and the conformance result, each with its post-quantum signature. Exit code 0 only if every demand is met.";
  static override examples = [
    "<%= config.bin %> verify release-1.0.0 --trust trust.json",
    "<%= config.bin %> verify HOST/PATH --tag 1.0.0 --trust trust.json",
    "<%= config.bin %> verify HOST/PATH/proxy@sha256:... --trust trust.json -o json",
    "<%= config.bin %> verify release-1.0.0 --trust trust.json --rebuild --source checkout",
    "<%= config.bin %> verify hauberk-1.0.0.bundle.tar --root 1.root.json",
  ];
  static override args = {
    what: Args.string({
      description: "A release's folder or bundle, HOST/PATH of a release, or one part of it.",
      required: true,
    }),
  };
  static override flags = {
    trust: Flags.string({
      summary: "Whom to believe: names and keys of builder and gate.",
      exclusive: ["root"],
    }),
    root: Flags.string({
      summary: "For a bundle: the root document of its channel, which names whom to believe.",
    }),
    channel: Flags.string({
      summary: "For a bundle: its channel.",
      options: [...CHANNELS],
      default: "stable",
    }),
    tag: Flags.string({ summary: "Tag or digest in a registry.", default: "latest" }),
    image: Flags.string({ summary: "Only this image; may be given again.", multiple: true, default: [] }),
    "plain-http": Flags.boolean({ summary: "Speak to the registry without TLS.", default: false }),
    rebuild: Flags.boolean({
      summary:
        "Make the release again from a checkout of its source, compare digests, and read the log whole.",
      default: false,
    }),
    source: Flags.string({ summary: "The checkout for --rebuild.", default: "." }),
    log: Flags.string({
      summary:
        "With --rebuild: where the log's tiles are, if not where the trust file says; a URL or a folder.",
    }),
    explained: Flags.string({
      summary: "With --rebuild: another release's folder, whose log entries are known; may be given again.",
      multiple: true,
      default: [],
    }),
    output: Flags.string({
      char: "o",
      summary: "How to print.",
      options: ["table", "json"],
      default: "table",
    }),
  };

  async #trusted(path: string | undefined): Promise<Trust> {
    if (path === undefined) return this.error("--trust says whom to believe", { exit: EXIT.usage });
    try {
      return readTrust(await readFile(path, "utf8"));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return this.error(`--trust: ${reason}`, { exit: EXIT.usage });
    }
  }

  /** A bundle: by the root of its channel, or by a trust file as a folder. */
  async #bundle(file: string, options: Options): Promise<void> {
    const { root, channel } = options;
    if (root !== undefined) {
      await withProven(file, { root, channel }, (_dir, { checks, trust }) => {
        this.#report(checks, trust, options);
        return Promise.resolve();
      });
      return;
    }
    const trust = await this.#trusted(options.trust);
    await withBundle(file, async (dir) => {
      const { where, tag, names } = await askedOf(dir, options);
      this.#report(await verifyRelease({ where, tag, isPlainHttp: false }, trust, names), trust, options);
    });
  }

  #report(images: readonly ImageChecks[], trust: Trust, { output }: Options): void {
    this.print(output, {
      table: describeRelease(images, trust).trimEnd(),
      json: {
        ok: failures(images) === 0,
        images: images.map(({ name, checks }) => ({
          name,
          checks: checks.map(({ part, subject, demand, way, outcome }) => ({
            part,
            subject,
            demand,
            way,
            ...(outcome.ok ? { ok: true } : { ok: false, refusal: outcome.refusal, detail: outcome.detail }),
          })),
        })),
        believed: { builder: trust.builder.id, gate: trust.gate?.id },
        notClaimed: notClaimed(trust),
      },
    });
    if (failures(images) > 0) this.exit(EXIT.unwell);
  }

  async run(): Promise<void> {
    const parsed = await this.parse(VerifyCommand);
    const options = Options.parse({ ...parsed.flags });
    const { what } = z.strictObject({ what: z.string().min(1) }).parse({ ...parsed.args });
    if (await isFile(what)) return this.#bundle(what, options);
    const trust = await this.#trusted(options.trust);
    const { where, tag, names } = await askedOf(what, options);
    const images = await verifyRelease({ where, tag, isPlainHttp: options["plain-http"] }, trust, names);
    this.#report(images, trust, options);
    if (!options.rebuild) return;
    if (!isFolder(where)) this.error("--rebuild compares with a release's folder", { exit: EXIT.usage });
    const code = await rebuild(where, resolve(options.source));
    const unexplained = trust.sigstore === undefined ? 0 : await audit(where, trust, options);
    if (code !== 0) this.exit(code);
    if (unexplained > 0) this.exit(EXIT.unwell);
  }
}
