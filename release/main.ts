/** `npm run release`: makes a release in a folder, lets it out, publishes it, verifies it, and keeps its channel. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { packRelease } from "./airgap/pack.ts";
import { readTrust } from "./attest/keys.ts";
import { CHANNEL_USAGE, runChannel, UsageError } from "./channel/command.ts";
import { passGate } from "./gate.ts";
import { isKindName, KINDS, type KindName } from "./kinds.ts";
import { makeRelease } from "./make.ts";
import { readKeyless } from "./sign/configuration.ts";
import { Layout } from "./oci/layout.ts";
import { writePolicies } from "./policies.ts";
import { rebuild } from "./rebuild.ts";
import { publishImage } from "./publish.ts";
import { unpack } from "./unpack.ts";
import { nameOfPlatform, PLATFORMS, type Platform } from "./platform.ts";
import { contentsOf, readDescription } from "./channel/release.ts";
import {
  describeRelease,
  failures,
  isFolder,
  repositoryOf,
  verifyRelease,
  type Place,
} from "./verify/release.ts";

const USAGE = `usage:
  npm run release -- --out DIR --keys DIR [--new-keys] [--revision REV] [--builder URI] [--source URI]
      [--repository HOST/PATH] [--advisories DIR] [--only NAME ...] [--platform linux/amd64 ...]
  npm run release -- gate DIR --keys DIR [--new-keys] --trust FILE --conformance REPORT [--gate URI] [--level 1|2]
  npm run release -- verify DIR|REPOSITORY --trust FILE [--tag TAG] [--plain-http]
  npm run release -- policies HOST/PATH --trust FILE --out DIR
  npm run release -- rebuild DIR
  npm run release -- bundle DIR CHANNEL-REPO --out FILE
  npm run release -- unpack DIR --out FOLDER
  npm run release -- publish DIR REPOSITORY --tag TAG [--plain-http]

${CHANNEL_USAGE.trimStart()}
Whoever makes or lets out a release signs with certificates, too, given --signing-config FILE --trusted-root FILE
--certificate-identity URI --certificate-oidc-issuer URL [--identity-token FILE].

REPOSITORY is HOST[:PORT]/PATH; what a release consists of lies at PATH/NAME: ${KINDS.join(", ")}. A password for it comes from
REGISTRY_USERNAME and REGISTRY_PASSWORD.
`;

const say = (text: string) => process.stderr.write(`${text}\n`);

function kindsNamed(only: readonly string[]): readonly KindName[] {
  const wrong = only.find((name) => !isKindName(name));
  if (wrong !== undefined) throw new UsageError(`there is no ${wrong} in a release: ${KINDS.join(", ")}`);
  return only.filter(isKindName);
}

function platformsNamed(names: readonly string[]): readonly Platform[] {
  const wrong = names.find((name) => PLATFORMS.every((platform) => nameOfPlatform(platform) !== name));
  const known = PLATFORMS.map(nameOfPlatform).join(", ");
  if (wrong !== undefined) throw new UsageError(`there is no release for ${wrong}: ${known}`);
  return PLATFORMS.filter((platform) => names.length === 0 || names.includes(nameOfPlatform(platform)));
}

/** The parts that a command is about: those that are named, or those that the release has. */
async function partsOf(where: string, only: readonly string[]): Promise<readonly string[]> {
  if (only.length > 0) return kindsNamed(only);
  if (!isFolder(where)) return KINDS;
  return Object.keys(contentsOf(readDescription(await readFile(join(resolve(where), "release.json")))));
}

async function verify(place: Place, trustFile: string, only: readonly string[]): Promise<number> {
  const trust = readTrust(await readFile(trustFile, "utf8"));
  const images = await verifyRelease(place, trust, await partsOf(place.where, only));
  process.stdout.write(describeRelease(images, trust));
  return failures(images) === 0 ? 0 : 1;
}

async function compare(dir: string): Promise<number> {
  const root = resolve(import.meta.dirname, "..");
  const compared = await rebuild(dir, { root, platforms: platformsNamed(values.platform), say });
  for (const { name, released, rebuilt } of compared) {
    const verdict = released === rebuilt ? "√ the same" : `× rebuilt as ${rebuilt}`;
    process.stdout.write(`${name} ${released} ${verdict}\n`);
  }
  return compared.length > 0 && compared.every(({ released, rebuilt }) => released === rebuilt) ? 0 : 1;
}

async function publish(dir: string, place: Place, only: readonly string[]): Promise<number> {
  const layout = await Layout.open(join(dir, "images"));
  for (const name of await partsOf(dir, only)) {
    const to = repositoryOf(place, name);
    try {
      const { index, attached } = await publishImage(layout, { name, to, tag: place.tag });
      process.stdout.write(`${to.name}:${place.tag}@${index.digest} (${attached} attached)\n`);
    } finally {
      await to.close();
    }
  }
  return 0;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: "string" },
    keys: { type: "string" },
    "new-keys": { type: "boolean", default: false },
    revision: { type: "string", default: "HEAD" },
    builder: { type: "string", default: "https://hauberk.io/builder/local/v1" },
    source: { type: "string", default: "git+https://github.com/hauberk/hauberk" },
    trust: { type: "string" },
    repository: { type: "string", default: "docker.io/hauberk" },
    tag: { type: "string", default: "latest" },
    advisories: { type: "string" },
    conformance: { type: "string" },
    gate: { type: "string", default: "https://hauberk.io/gate/v1" },
    level: { type: "string", default: "1" },
    only: { type: "string", multiple: true, default: [] },
    platform: { type: "string", multiple: true, default: [] },
    channel: { type: "string", default: "stable" },
    root: { type: "string" },
    state: { type: "string" },
    installed: { type: "string" },
    next: { type: "string" },
    "plain-http": { type: "boolean", default: false },
    "signing-config": { type: "string" },
    "trusted-root": { type: "string" },
    "certificate-identity": { type: "string" },
    "certificate-oidc-issuer": { type: "string" },
    "identity-token": { type: "string" },
  },
});

/** A value that a command cannot do without. */
function needed(value: string | undefined, name: string): string {
  if (value === undefined) throw new UsageError(`${name} is needed`);
  return value;
}

async function gate(dir: string): Promise<number> {
  const { keys, trust, conformance, level } = values;
  if (level !== "1" && level !== "2") throw new UsageError("--level is 1 or 2: more is not claimed");
  await passGate({
    dir: resolve(dir),
    keys: resolve(needed(keys, "--keys")),
    isNew: values["new-keys"],
    trustFile: resolve(needed(trust, "--trust")),
    report: resolve(needed(conformance, "--conformance")),
    gateId: values.gate,
    level: level === "1" ? 1 : 2,
    keyless: await readKeyless(values),
  });
  return 0;
}

async function make(): Promise<number> {
  await makeRelease({
    out: resolve(needed(values.out, "--out")),
    keys: resolve(needed(values.keys, "--keys")),
    isNew: values["new-keys"],
    revision: values.revision,
    only: kindsNamed(values.only),
    platforms: platformsNamed(values.platform),
    advisories: values.advisories === undefined ? undefined : resolve(values.advisories),
    naming: { builderId: values.builder, sourceUri: values.source, repository: values.repository },
    keyless: await readKeyless(values),
  });
  return 0;
}

const place = (where: string): Place => ({ where, tag: values.tag, isPlainHttp: values["plain-http"] });

async function main(): Promise<number> {
  const [command, from, to] = positionals;
  switch (command) {
    case undefined:
      return make();
    case "channel": {
      const { channel, keys, next, trust, root, state, installed } = values;
      const options = { channel, keys, next, trust, root, state, installed, isNew: values["new-keys"] };
      return runChannel(positionals.slice(1), options);
    }
    case "gate":
      return gate(needed(from, "a release"));
    case "verify": {
      const trust = resolve(needed(values.trust, "--trust"));
      return verify(place(needed(from, "a release")), trust, values.only);
    }
    case "policies": {
      const trustFile = resolve(needed(values.trust, "--trust"));
      const out = resolve(needed(values.out, "--out"));
      await writePolicies(needed(from, "HOST/PATH"), { trustFile, out });
      return 0;
    }
    case "rebuild":
      return compare(resolve(needed(from, "a release")));
    case "bundle": {
      const file = resolve(needed(values.out, "--out"));
      const channel = resolve(needed(to, "the repository of its channel"));
      const { version } = await packRelease(resolve(needed(from, "a release")), { channel, file });
      process.stdout.write(`${file}: Hauberk ${version}\n`);
      return 0;
    }
    case "unpack":
      await unpack(resolve(needed(from, "a release")), resolve(needed(values.out, "--out")));
      return 0;
    case "publish":
      return publish(resolve(needed(from, "a release")), place(needed(to, "HOST/PATH")), values.only);
    default:
      throw new UsageError(`there is no command ${command}`);
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  say(`× ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof UsageError) process.stderr.write(USAGE);
  process.exitCode = error instanceof UsageError ? 64 : 1;
}
