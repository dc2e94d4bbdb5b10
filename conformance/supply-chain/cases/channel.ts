/** The channel: what go-tuf and python-tuf say of it must be what our follower says, whatever was done to it. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ask, must, program, python, TREE } from "../programs.ts";
import type { Question } from "../suite.ts";
import { serveFolder, type World } from "../world.ts";

const TARGET = "stable/releases.json";

interface Verdicts {
  readonly goTuf: boolean;
  readonly pythonTuf: boolean;
  readonly ours: boolean;
}

/** What each follower says of the repository at `url`, from the first root and from what it has seen in `state`. */
async function verdicts(
  { dir, channel, hauberkRelease }: Asked,
  url: string,
  name: string,
): Promise<Verdicts> {
  const state = join(dir, "followers", name);
  const root = join(channel, "metadata", "1.root.json");
  for (const one of ["go", "python"]) await mkdir(join(state, one), { recursive: true });
  const go = async () => {
    const at = { cwd: join(state, "go") };
    const client = program("tuf-client");
    // It takes no root but one beside it, and keeps what it has seen there.
    await cp(root, join(at.cwd, "root.json"));
    await ask(client, ["init", "--url", `${url}/metadata`, "--file", "root.json"], at);
    return ask(client, ["get", "--url", `${url}/metadata`, "--turl", `${url}/targets`, TARGET], at);
  };
  const script = join(import.meta.dirname, "..", "tools", "follow_channel.py");
  const ours = ["--state", join(state, "ours"), "--root", root];
  const said = {
    goTuf: await go(),
    pythonTuf: await ask(python, [script, url, root, join(state, "python"), TARGET]),
    ours: await hauberkRelease("channel", "show", url, "--channel", "stable", ...ours),
  };
  return {
    goTuf: said.goTuf.code === 0,
    pythonTuf: said.pythonTuf.code === 0,
    ours: said.ours.code === 0,
  };
}

interface Asked {
  readonly dir: string;
  readonly channel: string;
  readonly hauberkRelease: (...args: readonly string[]) => ReturnType<typeof ask>;
}

function askedOf({ dir, channel }: World): Asked {
  const main = join(TREE, "release", "main.ts");
  return { dir, channel, hauberkRelease: (...args) => ask(process.execPath, [main, ...args]) };
}

function all(found: Verdicts, wanted: boolean): string | undefined {
  const others = Object.entries(found).filter(([, isAccepted]) => isAccepted !== wanted);
  if (others.length === 0) return undefined;
  return `${others.map(([name]) => name).join(", ")} ${wanted ? "refused" : "accepted"} it`;
}

type Spoil = (channel: string) => Promise<void>;

async function rewrite(path: string, change: (text: string) => string): Promise<void> {
  const before = await readFile(path, "utf8");
  const after = change(before);
  if (before === after) throw new Error(`nothing was spoiled in ${path}`);
  await writeFile(path, after);
}

/** Path of the newest document of a role. */
async function newest(channel: string, role: string): Promise<string> {
  const names = (await readdir(join(channel, "metadata"))).filter((name) => name.endsWith(`.${role}.json`));
  const versions = names.map((name) => Number(name.split(".")[0]));
  return join(channel, "metadata", `${Math.max(...versions)}.${role}.json`);
}

const SPOILED: readonly { readonly name: string; readonly spoil: Spoil }[] = [
  {
    name: "a timestamp whose end was moved",
    spoil: (channel) =>
      rewrite(join(channel, "metadata", "timestamp.json"), (text) =>
        text.replace(/"expires":"\d{4}/, `"expires":"2999`),
      ),
  },
  {
    name: "a snapshot of another length than the timestamp says",
    spoil: async (channel) => rewrite(await newest(channel, "snapshot"), (text) => `${text} `),
  },
  {
    name: "a list of releases that was altered",
    spoil: async (channel) => {
      const folder = join(channel, "targets", "stable");
      for (const name of await readdir(folder))
        if (name.endsWith(".releases.json")) await rewrite(join(folder, name), (text) => `${text} `);
    },
  },
  {
    name: "a channel whose document is missing",
    spoil: async (channel) => rm(await newest(channel, "stable")),
  },
];

async function withCopy<T>(world: World, name: string, spoil: Spoil, look: (url: string) => Promise<T>) {
  const copy = join(world.dir, "channels", name.replaceAll(" ", "-"));
  await cp(world.channel, copy, { recursive: true });
  await spoil(copy);
  const { server, url } = await serveFolder(copy);
  try {
    return await look(url);
  } finally {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}

export const CHANNELS: readonly Question[] = [
  {
    name: "go-tuf and python-tuf follow the channel as we do",
    ask: async (world) => all(await verdicts(askedOf(world), world.channelUrl, "good"), true),
  },
  ...SPOILED.map(({ name, spoil }) => ({
    name: `go-tuf and python-tuf refuse as we do: ${name}`,
    ask: (world: World) =>
      withCopy(world, name, spoil, async (url) =>
        all(await verdicts(askedOf(world), url, name.replaceAll(" ", "-")), false),
      ),
  })),
  {
    name: "go-tuf and python-tuf refuse as we do: an older timestamp than they have seen",
    ask: async (world) => {
      const asked = askedOf(world);
      return withCopy(
        world,
        "rolled back",
        async () => undefined,
        async (url) => {
          const path = join(world.dir, "channels", "rolled-back", "metadata", "timestamp.json");
          const old = await readFile(path);
          const keys = ["--keys", join(world.dir, "channel-keys")];
          const renewed = await asked.hauberkRelease("channel", "renew", join(path, "..", ".."), ...keys);
          if (renewed.code !== 0) return renewed.stderr;
          const seen = all(await verdicts(asked, url, "rolled-back"), true);
          if (seen !== undefined) return seen;
          await writeFile(path, old);
          return all(await verdicts(asked, url, "rolled-back"), false);
        },
      );
    },
  },
  {
    name: "cosign initialize takes the trust root from the channel, and then verifies without being given one",
    ask: async (world) => {
      const home = {
        env: { TUF_ROOT: join(world.dir, "cosign-home"), HOME: join(world.dir, "cosign-home") },
      };
      await mkdir(join(world.dir, "cosign-home"), { recursive: true });
      const root = join(world.channel, "metadata", "1.root.json");
      const mirror = `${world.channelUrl}/metadata`;
      await must(program("cosign"), ["initialize", "--mirror", mirror, "--root", root], home);
      // prettier-ignore
      await must(program("cosign"), ["verify-attestation", "--allow-http-registry", "--type", "slsaprovenance1",
        "--certificate-identity", world.sigstore.identityOf("builder"), "--certificate-oidc-issuer", world.sigstore.issuer.url,
        `${world.repository}/cli@${world.index}`], home);
      return undefined;
    },
  },
];
