/**
 * A channel's repository as a copy, where nobody can renew its timestamp. What a timestamp proves, that nothing newer is there,
 * cannot be known without a network; everything else is proven as online: the root and its successors, each role's threshold, that
 * no older state is taken than was seen before, and that the channel's signatures still hold.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Metadata, MetadataKind, type Targets } from "@tufjs/models";
import { z } from "zod";
import { ChannelError, type ChannelRefusal, type Memory, type Offer } from "../channel/follow.ts";
import { readDescription, readList, type List, type Release } from "../channel/release.ts";
import { descriptionOf, listOf, TRUST_TARGET, type ChannelName } from "../channel/roles.ts";

/** Where the copy is, and what is known of the channel. */
export interface Copy {
  /** The repository's folder. */
  readonly dir: string;
  readonly name: ChannelName;
  readonly memory: Memory;
  /** The operator's own root document; needed only while nothing is remembered. */
  readonly root?: Buffer | undefined;
  readonly now: Date;
}

const Json = z.record(z.string(), z.json());

function parse(bytes: Buffer, what: string): z.infer<typeof Json> {
  try {
    return Json.parse(JSON.parse(bytes.toString()));
  } catch (cause) {
    throw new ChannelError("metadata-altered", `${what} is no metadata`, { cause });
  }
}

/** @throws as `refusal` what `check` throws. */
function demand(refusal: ChannelRefusal, what: string, check: () => void): void {
  try {
    check();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ChannelError(refusal, `${what}: ${reason}`, { cause });
  }
}

const rootOf = (bytes: Buffer, what: string) => Metadata.fromJSON(MetadataKind.Root, parse(bytes, what));

/** The newest root of the copy that the known one leads to, each signed by its predecessor and by itself. */
async function newestRoot(metadata: string, known: Buffer) {
  let bytes = known;
  let root = rootOf(bytes, "the known root");
  for (;;) {
    const path = join(metadata, `${root.signed.version + 1}.root.json`);
    if (!existsSync(path)) return { root, bytes };
    const following = await readFile(path);
    const next = rootOf(following, path);
    demand("signers-missing", path, () => root.verifyDelegate("root", next));
    demand("signers-missing", path, () => next.verifyDelegate("root", next));
    if (next.signed.version !== root.signed.version + 1)
      throw new ChannelError("metadata-mixed", `${path} says that it is version ${next.signed.version}`);
    root = next;
    bytes = following;
  }
}

/** The newest document of a role in the folder. */
async function newest(metadata: string, role: string): Promise<Buffer> {
  const versions = (await readdir(metadata)).flatMap((name) => {
    const version = /^(\d+)\.(.+)\.json$/.exec(name);
    return version?.[2] === role ? [Number(version[1])] : [];
  });
  if (versions.length === 0) throw new ChannelError("target-missing", `the copy has no ${role}.json`);
  return readFile(join(metadata, `${Math.max(...versions)}.${role}.json`));
}

/** What is remembered of the copy under the names by which a follower online knows it. */
const remembers = (role: string) => `${role}.json`;

function current(
  role: string,
  signed: { readonly version: number; isExpired: (at: Date) => boolean; readonly expires: string },
  now: Date,
): void {
  if (signed.isExpired(now))
    throw new ChannelError("metadata-expired", `what signs for ${role} was good until ${signed.expires}`);
}

async function targetOf(copy: Copy, targets: Targets, path: string): Promise<Buffer> {
  const file = targets.targets[path];
  const hash = file?.hashes["sha256"];
  if (file === undefined || hash === undefined)
    throw new ChannelError("target-missing", `the channel does not vouch for ${path}`);
  const cut = path.lastIndexOf("/") + 1;
  const stored = join(copy.dir, "targets", path.slice(0, cut), `${hash}.${path.slice(cut)}`);
  if (!existsSync(stored)) throw new ChannelError("target-missing", `the copy has no ${path}`);
  const bytes = await readFile(stored);
  if (createHash("sha256").update(bytes).digest("hex") !== hash || bytes.length !== file.length)
    throw new ChannelError("target-altered", `${path} is not what the channel vouches for`);
  return bytes;
}

/** No older than what was seen before. */
function notOlder(role: string, version: number, before: Buffer | undefined): void {
  if (before === undefined) return;
  const seen = Metadata.fromJSON(MetadataKind.Targets, parse(before, `the remembered ${role}`)).signed
    .version;
  if (version < seen)
    throw new ChannelError(
      "metadata-rolled-back",
      `${role} ${version} is older than ${seen}, which was seen`,
    );
}

/** What the copy offers, proven from what is remembered or from the given root. @throws {@link ChannelError} */
export async function followCopy(copy: Copy, wanted: (list: List) => readonly string[]): Promise<Offer> {
  const { dir, name, memory, now } = copy;
  const metadata = join(dir, "metadata");
  const remembered = await memory.load();
  const known = remembered.get("root.json") ?? copy.root;
  if (known === undefined)
    throw new ChannelError("signers-missing", "no root document is known; give the one you trust");
  const { root, bytes: rootBytes } = await newestRoot(metadata, known);
  current("root", root.signed, now);
  const targetsBytes = await newest(metadata, "targets");
  const targets = Metadata.fromJSON(MetadataKind.Targets, parse(targetsBytes, "targets"));
  demand("signers-missing", "targets", () => root.verifyDelegate("targets", targets));
  current("targets", targets.signed, now);
  notOlder("targets", targets.signed.version, remembered.get(remembers("targets")));
  const channelBytes = await newest(metadata, name);
  const channel = Metadata.fromJSON(MetadataKind.Targets, parse(channelBytes, name));
  demand("signers-missing", name, () => targets.verifyDelegate(name, channel));
  current(name, channel.signed, now);
  notOlder(name, channel.signed.version, remembered.get(remembers(name)));
  const list = readList(await targetOf(copy, channel.signed, listOf(name)));
  const trust = (await targetOf(copy, targets.signed, TRUST_TARGET)).toString();
  const releases = new Map<string, Release>();
  for (const version of wanted(list))
    releases.set(
      version,
      readDescription(await targetOf(copy, channel.signed, descriptionOf(name, version))),
    );
  const learnt = new Map([
    ["root.json", rootBytes],
    [remembers("targets"), targetsBytes],
    [remembers(name), channelBytes],
  ]);
  await memory.save(new Map([...remembered, ...learnt]));
  return { list, trust, releases };
}
