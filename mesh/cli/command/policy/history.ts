import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { Args, Flags } from "@oclif/core";
import { describeAct, verifyChain, type Content } from "@hauberk/release/audit/record.ts";
import { z } from "zod";
import { readExport, writeExport, type Exported } from "../../audit/export.ts";
import { keysAsPem, keysFromPem } from "../../audit/keys.ts";
import { EXIT, MeshCommand } from "../../mesh-command.ts";
import {
  Output,
  outputFlag,
  WorldCommand,
  worldFlags,
  WorldOptions,
  type Looked,
} from "../../world/command.ts";

const LIST_MS_MAX = 60_000;
const fileArg = Args.string({ description: "File of the history.", required: true });
const FileArgs = z.looseObject({ file: z.string().min(1) });

/** The history, if there is one. */
async function stored(file: string): Promise<Exported | undefined> {
  try {
    return readExport(await readFile(file, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Its entries, proven. @throws naming the entry at which the chain breaks. */
function proven({ entries, head, keys }: Exported, believed: unknown): readonly Content[] {
  const chain = verifyChain(entries, head, keysFromPem(believed ?? keys));
  if (chain.ok) return chain.contents;
  throw new Error(`the history is broken at entry ${chain.sequence}: ${chain.fault}: ${chain.detail}`);
}

async function manifestsOf({ world, place }: Looked) {
  if (place?.type !== "cluster") return world.documents.map(({ object }) => object);
  const { listObjects } = await import("../../world/cluster.ts");
  return listObjects(place.client, AbortSignal.timeout(LIST_MS_MAX));
}

const RecordOptions = z.strictObject({ ...WorldOptions, key: z.string().min(1) });

export class PolicyHistoryRecordCommand extends WorldCommand {
  static override summary = "Look at everything that policy rests on, and write down what became another.";
  static override description =
    "Each entry names the one before by its digest and is signed with both keys. Run it as often as the history should be exact, by a timer or after each change.";
  static override examples = ["<%= config.bin %> policy history record history.json --key keys"];
  static override args = { file: fileArg };
  static override flags = {
    ...worldFlags,
    key: Flags.string({
      summary: "Folder with the keys to sign with (hauberk compliance keys makes one).",
      required: true,
    }),
  };

  async run(): Promise<void> {
    const parsed = await this.parse(PolicyHistoryRecordCommand);
    const options = RecordOptions.parse({ ...parsed.flags });
    const { file } = FileArgs.parse({ ...parsed.args });
    const [{ append }, { readSigner }, { changesOf, objectsAt, objectsOf }] = await Promise.all([
      import("@hauberk/release/audit/record.ts"),
      import("@hauberk/release/attest/keys.ts"),
      import("../../history/policy-history.ts"),
    ]);
    const signer = await readSigner(options.key);
    const keys = { classical: signer.classical.publicKey, postQuantum: signer.postQuantum.publicKey };
    const before = (await stored(file)) ?? writeExport({ entries: [], head: undefined }, keys);
    const { entries, head } = before;
    const now = objectsOf(await this.withWorld(options, manifestsOf));
    const at = new Date();
    const changed = changesOf(objectsAt(proven(before, keysAsPem(keys)), at.toISOString()), now);
    if (changed.length === 0) {
      this.log("nothing changed");
      return;
    }
    const made = append(head, { at, actor: userInfo().username, act: { kind: "policy", changed } }, signer);
    const text = writeExport({ entries: [...entries, made.entry], head: made.head }, keys);
    await writeFile(`${file}.new`, `${JSON.stringify(text, undefined, 1)}\n`);
    await rename(`${file}.new`, file);
    this.log(`entry ${made.head.sequence}: ${changed.length} objects changed`);
  }
}

const keysFlag = Flags.string({
  summary: "File with the keys to believe (public.json); those in the file otherwise.",
});

async function readProven(file: string, keys: string | undefined): Promise<readonly Content[]> {
  const found = await stored(file);
  if (found === undefined) throw new Error(`${file}: there is no history`);
  return proven(found, keys === undefined ? undefined : JSON.parse(await readFile(keys, "utf8")));
}

export class PolicyHistoryShowCommand extends MeshCommand {
  static override summary = "Show when what policy rests on changed; a broken history is refused.";
  static override examples = ["<%= config.bin %> policy history show history.json --keys public.json"];
  static override args = { file: fileArg };
  static override flags = { output: outputFlag, keys: keysFlag };

  async run(): Promise<void> {
    const parsed = await this.parse(PolicyHistoryShowCommand);
    const options = z
      .strictObject({ output: Output, keys: z.string().min(1).optional() })
      .parse({ ...parsed.flags });
    const contents = await readProven(FileArgs.parse({ ...parsed.args }).file, options.keys);
    const lines = contents.map(
      ({ sequence, at, actor, act }) =>
        `${String(sequence).padStart(4)}  ${at}  ${actor}  ${describeAct(act)}`,
    );
    this.print(options.output, { table: lines.join("\n"), json: contents });
  }
}

export class PolicyHistoryRestoreCommand extends MeshCommand {
  static override summary = "Write what policy rested on at a time as manifests, for policy explain -f.";
  static override examples = [
    "<%= config.bin %> policy history restore history.json tuesday --at 2026-11-17T14:05:00Z --keys public.json",
    "<%= config.bin %> policy explain -f tuesday -n shop --from shop/web deploy/pay:80 --path /refunds",
  ];
  static override args = {
    file: fileArg,
    dir: Args.string({ description: "Folder for the manifests.", required: true }),
  };
  static override flags = {
    at: Flags.string({ summary: "The time, as 2026-11-17T14:05:00Z.", required: true }),
    keys: keysFlag,
  };

  async run(): Promise<void> {
    const parsed = await this.parse(PolicyHistoryRestoreCommand);
    const { at, keys } = z
      .strictObject({ at: z.iso.datetime({ offset: true }), keys: z.string().min(1).optional() })
      .parse({ ...parsed.flags });
    const { file, dir } = z.strictObject({ file: z.string(), dir: z.string() }).parse({ ...parsed.args });
    const { objectsAt } = await import("../../history/policy-history.ts");
    const objects = objectsAt(await readProven(file, keys), new Date(at).toISOString());
    if (objects.size === 0) this.error(`the history says nothing of ${at}`, { exit: EXIT.unwell });
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, "objects.yaml"), `${[...objects.values()].join("\n---\n")}\n`);
    this.log(`${dir}: ${objects.size} objects as they were at ${at}`);
  }
}
