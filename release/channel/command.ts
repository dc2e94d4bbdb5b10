/** `npm run release -- channel …`: keeps the repository that clusters follow. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { folderMemory, follow, type Offer } from "./follow.ts";
import { makeKeyring, readKeyring } from "./keys.ts";
import { describePlan, Installed, newestOf, plan } from "./plan.ts";
import { readDescription } from "./release.ts";
import { addToChannel, createRepository, refreshTimestamp, rotateKeys } from "./repository.ts";
import { isChannel, type ChannelName } from "./roles.ts";

export const CHANNEL_USAGE = `
  npm run release -- channel create REPO --keys DIR [--new-keys] --trust FILE
  npm run release -- channel add REPO RELEASE --channel stable|edge --keys DIR
  npm run release -- channel renew REPO --keys DIR
  npm run release -- channel rotate REPO --keys DIR --next DIR [--new-keys]
  npm run release -- channel plan URL|REPO --channel stable|edge --state DIR [--root FILE] --installed FILE
  npm run release -- channel show URL|REPO --channel stable|edge --state DIR [--root FILE]
`;

/** What the commands take. */
export interface ChannelOptions {
  readonly channel: string;
  readonly keys?: string | undefined;
  readonly next?: string | undefined;
  readonly trust?: string | undefined;
  readonly root?: string | undefined;
  readonly state?: string | undefined;
  readonly installed?: string | undefined;
  readonly isNew: boolean;
}

/** The command is not as the usage says. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

function given(value: string | undefined, flag: string): string {
  if (value === undefined) throw new UsageError(`${flag} is needed`);
  return value;
}

function channelNamed(name: string): ChannelName {
  if (!isChannel(name)) throw new UsageError(`there is no channel ${name}: stable or edge`);
  return name;
}

async function offerOf(where: string, options: ChannelOptions): Promise<Offer> {
  const url = /^[a-z]+:/.test(where) ? where : pathToFileURL(resolve(where)).href;
  const root = options.root === undefined ? undefined : await readFile(options.root);
  const memory = folderMemory(resolve(given(options.state, "--state")));
  const name = channelNamed(options.channel);
  return follow({ url, name, memory, root }, ({ releases }) => releases.map(({ version }) => version));
}

async function show(where: string, options: ChannelOptions): Promise<void> {
  const offer = await offerOf(where, options);
  for (const [version, { at, commit, images }] of offer.releases) {
    process.stdout.write(`${version}  ${at}  commit ${commit}\n`);
    for (const [image, digest] of Object.entries(images)) process.stdout.write(`  ${image} ${digest}\n`);
  }
  process.stdout.write(`newest: ${newestOf([...offer.releases.keys()]) ?? "none"}\n`);
}

/** What going to the newest release would change in a cluster that is described by a file. */
async function showPlan(where: string, options: ChannelOptions): Promise<number> {
  const installed = Installed.parse(
    JSON.parse(await readFile(given(options.installed, "--installed"), "utf8")),
  );
  const { releases } = await offerOf(where, options);
  const newest = releases.get(newestOf([...releases.keys()]) ?? "");
  if (newest === undefined) throw new Error(`the channel ${options.channel} has no release yet`);
  const planned = plan(installed, newest);
  switch (planned.kind) {
    case "plan":
      process.stdout.write(describePlan(planned.plan));
      return 0;
    case "current":
      process.stdout.write(`${planned.version} is the newest, and runs\n`);
      return 0;
    case "refused":
      process.stderr.write(`× ${planned.refusal}: ${planned.detail}\n`);
      return 1;
  }
}

/** Runs `channel VERB ...`. @throws {@link UsageError} where the usage is to be shown. */
export async function runChannel(args: readonly string[], options: ChannelOptions): Promise<number> {
  const [verb, where, release] = args;
  if (where === undefined) throw new UsageError("which repository?");
  const dir = resolve(where);
  const now = new Date();
  const ringOf = (keys: string) => (options.isNew ? makeKeyring(resolve(keys)) : readKeyring(resolve(keys)));
  switch (verb) {
    case "create": {
      const trust = await readFile(given(options.trust, "--trust"), "utf8");
      await createRepository(dir, { ring: await ringOf(given(options.keys, "--keys")), trust, now });
      return 0;
    }
    case "add": {
      if (release === undefined) throw new UsageError("which release?");
      const ring = await readKeyring(resolve(given(options.keys, "--keys")));
      const description = readDescription(await readFile(join(resolve(release), "release.json")));
      await addToChannel(dir, channelNamed(options.channel), description, { ring, now });
      process.stdout.write(`${description.version} is in ${options.channel}\n`);
      return 0;
    }
    case "renew":
      await refreshTimestamp(dir, await readKeyring(resolve(given(options.keys, "--keys"))), now);
      return 0;
    case "rotate": {
      const ring = await readKeyring(resolve(given(options.keys, "--keys")));
      await rotateKeys(dir, { ring, next: await ringOf(given(options.next, "--next")), now });
      return 0;
    }
    case "plan":
      return showPlan(where, options);
    case "show":
      await show(where, options);
      return 0;
    case undefined:
    default:
      throw new UsageError(`channel knows no ${String(verb)}`);
  }
}
