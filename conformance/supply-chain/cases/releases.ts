/** Our own verifier on the same release: what the README tells a stranger, a log read whole, and what is not to be believed. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ask, must, program, TREE } from "../programs.ts";
import type { Question } from "../suite.ts";
import { IMAGE, type World } from "../world.ts";

/** The commands of the README with which a stranger verifies a release. */
async function commandsOf(): Promise<readonly string[]> {
  const text = await readFile(join(TREE, "README.md"), "utf8");
  const block = /```[a-z]*\n(hauberk verify HOST[^`]+)```/.exec(text)?.[1];
  if (block === undefined) throw new Error("README.md has no block that begins with `hauberk verify HOST`");
  return block
    .trim()
    .split("\n")
    .map((line) => line.replace(/\s+#.*$/, ""));
}

/** With the places of this world; the registry has no TLS, and one image instead of all. */
function placed(command: string, world: World): readonly string[] {
  const { repository, version, release, checkout, index } = world;
  const text = command
    .replace(/HOST\/PATH\/[a-z]+@sha256:\.\.\./, `${repository}/${IMAGE}@${index}`)
    .replace("HOST/PATH", repository)
    .replace("--tag 1.0.0", `--tag ${version}`)
    .replace(/ DIR /, ` ${release} `)
    .replace("CHECKOUT", checkout)
    .replace("trust.json", join(release, "trust.json"))
    .replace("cosign.pub", join(release, "cosign.pub"));
  return text.split(/\s+/);
}

async function asTold(number: number, world: World): Promise<string | undefined> {
  const command = (await commandsOf())[number];
  if (command === undefined) return "the README has no such command";
  const [name = "", ...args] = placed(command, world);
  if (name === "cosign") {
    await must(
      program("cosign"),
      ["--allow-http-registry", ...args].toSorted((one) => (one === args[0] ? -1 : 0)),
    );
    return undefined;
  }
  const isRebuild = args.includes("--rebuild");
  const more = isRebuild ? ["--log", world.sigstore.tiles] : ["--plain-http", "--image", IMAGE];
  const [node, hauberk] = world.hauberk(...args, ...more);
  const said = await must(node, hauberk);
  if (!said.includes("Verified.")) return said.slice(-600);
  if (!isRebuild) return undefined;
  return /√ the same/.test(said) && /√ log /.test(said) ? undefined : said.slice(-600);
}

const verify = (world: World, ...args: readonly string[]) => {
  const trust = ["--trust", join(world.release, "trust.json"), "--plain-http", "--image", IMAGE];
  return ask(...world.hauberk("verify", ...args, ...trust));
};

export const RELEASES: readonly Question[] = [
  ...([0, 1, 2] as const).map((number) => ({
    name: `README: command ${number + 1} with which a stranger verifies a release`,
    ask: (world: World) => asTold(number, world),
  })),
  {
    name: "hauberk verify accepts the release's folder",
    ask: async (world) => {
      const { code, stdout, stderr } = await verify(world, world.release);
      return code === 0 && stdout.includes("by certificate, logged and timestamped")
        ? undefined
        : stdout + stderr;
    },
  },
  {
    name: "hauberk verify refuses the release under the tag of another version: artifact-replayed",
    ask: async (world) => {
      const at = `${world.repository}/${IMAGE}`;
      await must(program("crane"), ["tag", `${at}:${world.version}`, "9.9.9"]);
      const { code, stdout, stderr } = await verify(world, world.repository, "--tag", "9.9.9");
      return code !== 0 && stdout.includes("artifact-replayed") ? undefined : stdout + stderr;
    },
  },
  {
    name: "hauberk verify reports what was signed in the builder's name and is of no release: entry-unexplained",
    ask: async (world) => {
      const { dir, sigstore, release, checkout } = world;
      const blob = join(dir, "blob");
      await writeFile(blob, "of no release");
      const token = join(dir, "builder.token");
      await writeFile(token, sigstore.issuer.token("builder"));
      // prettier-ignore
      await must(program("cosign"), ["sign-blob", "--yes", "--identity-token", token, "--signing-config", sigstore.signingConfig,
        "--trusted-root", sigstore.trustedRoot, "--bundle", join(dir, "blob.json"), blob]);
      const trust = ["--trust", join(release, "trust.json")];
      const rebuild = ["--rebuild", "--source", checkout, "--log", sigstore.tiles];
      const { code, stdout, stderr } = await ask(...world.hauberk("verify", release, ...trust, ...rebuild));
      return code !== 0 && stdout.includes("entry-unexplained") ? undefined : (stdout + stderr).slice(-600);
    },
  },
];
