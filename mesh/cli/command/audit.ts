import { readFile } from "node:fs/promises";
import { Flags } from "@oclif/core";
import {
  describeAct,
  continues,
  verifyChain,
  type AuditKeys,
  type Chain,
} from "@hauberk/release/audit/record.ts";
import { z } from "zod";
import { readExport, writeExport } from "../audit/export.ts";
import { keysFromPem } from "../audit/keys.ts";
import { AuditStore, type Stored } from "../audit/store.ts";
import { ClusterOptions, clusterFlags, connectCluster } from "../cluster-flags.ts";
import { EXIT, MeshCommand } from "../mesh-command.ts";

const Options = z.strictObject({
  ...ClusterOptions,
  output: z.enum(["table", "json"]),
  file: z.string().min(1).optional(),
  since: z.string().min(1).optional(),
});
type Options = z.infer<typeof Options>;

const flags = {
  ...clusterFlags,
  output: Flags.string({ char: "o", summary: "How to print.", options: ["table", "json"], default: "table" }),
  file: Flags.string({ char: "f", summary: "An exported record, instead of the cluster's." }),
  since: Flags.string({
    summary: "An earlier export: its keys are believed, and its entries must still be there.",
  }),
};

interface Read {
  readonly stored: Stored;
  readonly keys: AuditKeys | undefined;
}

async function fromCluster(options: Options): Promise<Read> {
  const client = await connectCluster(options);
  try {
    const store = new AuditStore(client, options["linkerd-namespace"]);
    return { stored: await store.load(), keys: await store.keys() };
  } finally {
    await client.close();
  }
}

async function readRecord(options: Options): Promise<Read> {
  if (options.file === undefined) return fromCluster(options);
  const { entries, head, keys } = readExport(await readFile(options.file, "utf8"));
  return { stored: { entries, head }, keys: keysFromPem(keys) };
}

async function chainOf(options: Options): Promise<Chain> {
  const { stored, keys } = await readRecord(options);
  if (options.since !== undefined) {
    const kept = readExport(await readFile(options.since, "utf8"));
    const chain = verifyChain(stored.entries, stored.head, keysFromPem(kept.keys));
    return chain.ok ? continues(chain, kept.entries, stored.entries) : chain;
  }
  if (keys !== undefined) return verifyChain(stored.entries, stored.head, keys);
  if (stored.entries.length === 0 && stored.head === undefined) return { ok: true, contents: [] };
  const detail = "the record's keys are not there";
  return { ok: false, fault: "signature-wrong", sequence: 1, detail };
}

function refusal(chain: Extract<Chain, { ok: false }>): string {
  return `the record is broken at entry ${chain.sequence}: ${chain.fault}: ${chain.detail}`;
}

abstract class AuditCommand extends MeshCommand {
  static override flags = flags;
  /** The chain, proven; a broken one is printed and ends the command. */
  protected async proven(options: Options) {
    const chain = await chainOf(options);
    if (chain.ok) return chain.contents;
    return this.error(refusal(chain), { exit: EXIT.unwell });
  }
}

export class AuditShowCommand extends AuditCommand {
  static override summary =
    "Show what was done to the mesh: installations, upgrades, roll-backs and what was refused.";
  static override examples = [
    "<%= config.bin %> audit show",
    "<%= config.bin %> audit show -f record.json -o json",
  ];

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(AuditShowCommand)).flags });
    const contents = await this.proven(options);
    const lines = contents.map(
      ({ sequence, at, actor, act }) =>
        `${String(sequence).padStart(4)}  ${at}  ${actor}  ${describeAct(act)}`,
    );
    this.print(options.output, {
      table: lines.length === 0 ? "nothing is recorded yet" : lines.join("\n"),
      json: contents,
    });
  }
}

export class AuditVerifyCommand extends AuditCommand {
  static override summary = "Prove that no entry of the record was removed, altered or inserted.";
  static override description =
    "Each entry names the one before by its digest and bears two signatures. With --since, the keys of an earlier export are believed and its entries must still be there: then not even who may write Secrets can have made the record anew.";
  static override examples = [
    "<%= config.bin %> audit verify",
    "<%= config.bin %> audit verify --since kept.json",
  ];

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(AuditVerifyCommand)).flags });
    const contents = await this.proven(options);
    const last = contents.at(-1);
    const by = options.since === undefined ? "the keys that lie beside it" : `the keys of ${options.since}`;
    const table =
      last === undefined
        ? "nothing is recorded yet"
        : `√ ${contents.length} entries, whole and signed by ${by}; the last is of ${last.at}`;
    this.print(options.output, { table, json: { ok: true, entries: contents.length, last: last?.at } });
  }
}

export class AuditExportCommand extends AuditCommand {
  static override summary = "Print the record with its keys as one file, to be kept elsewhere.";
  static override examples = ["<%= config.bin %> audit export > record.json"];

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(AuditExportCommand)).flags });
    await this.proven(options);
    const { stored, keys } = await readRecord(options);
    if (keys === undefined) this.error("nothing is recorded yet", { exit: EXIT.unwell });
    this.log(JSON.stringify(writeExport(stored, keys), undefined, 2));
  }
}
