/** `npm run release`: makes a release in a folder, lets it out, publishes it, verifies it, and keeps its channel. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readTrust } from "./attest/keys.ts";
import { CHANNEL_USAGE, runChannel, UsageError } from "./channel/command.ts";
import { passGate } from "./gate.ts";
import { makeRelease } from "./make.ts";
import { Layout } from "./oci/layout.ts";
import { Repository } from "./oci/registry.ts";
import { publishImage } from "./publish.ts";
import { IMAGES } from "./stages.ts";
import { describeChecks } from "./verify/report.ts";
import { verifyImage, type Check, type Trust } from "./verify/verify.ts";

const USAGE = `usage:
  npm run release -- --out DIR --keys DIR [--new-keys] [--revision REV] [--builder URI] [--source URI]
      [--repository HOST/PATH] [--advisories DIR]
  npm run release -- gate DIR --keys DIR [--new-keys] --trust FILE --conformance REPORT [--gate URI] [--level 1|2]
  npm run release -- verify DIR|REPOSITORY --trust FILE [--tag TAG] [--plain-http]
  npm run release -- publish DIR REPOSITORY --tag TAG [--plain-http]

${CHANNEL_USAGE.trimStart()}
REPOSITORY is HOST[:PORT]/PATH; the images are PATH/proxy, PATH/controller and PATH/cli. A password for it comes from
REGISTRY_USERNAME and REGISTRY_PASSWORD.
`;

const say = (text: string) => process.stderr.write(`${text}\n`);

interface Place {
  readonly where: string;
  readonly tag: string;
  readonly isPlainHttp: boolean;
}

/** The repository of one image. */
function repositoryOf({ where, isPlainHttp }: Place, name: string): Repository {
  const { REGISTRY_USERNAME: username, REGISTRY_PASSWORD: password } = process.env;
  const credentials =
    username === undefined || password === undefined ? {} : { credentials: { username, password } };
  return new Repository(`${where}/${name}`, { dangerousPlainHttp: isPlainHttp, ...credentials });
}

async function checksOf(place: Place, name: string, trust: Trust): Promise<readonly Check[]> {
  const images = join(resolve(place.where), "images");
  if (existsSync(images)) return verifyImage(await Layout.open(images), name, trust);
  const repository = repositoryOf(place, name);
  try {
    return await verifyImage(repository, place.tag, trust);
  } finally {
    await repository.close();
  }
}

async function verify(place: Place, trustFile: string): Promise<number> {
  const trust = readTrust(await readFile(trustFile, "utf8"));
  if (trust.gate === undefined)
    throw new Error("trust: it names no gate, and a release that nobody let out is not accepted");
  let failed = 0;
  for (const name of IMAGES) {
    const checks = await checksOf(place, name, trust);
    process.stdout.write(describeChecks(name, checks));
    failed += checks.filter(({ outcome }) => !outcome.ok).length;
  }
  process.stdout.write(failed === 0 ? "Verified.\n" : `Refused: ${failed} demands are not met.\n`);
  return failed === 0 ? 0 : 1;
}

async function publish(dir: string, place: Place): Promise<number> {
  const layout = await Layout.open(join(dir, "images"));
  for (const name of IMAGES) {
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

async function main(): Promise<number> {
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
      repository: { type: "string", default: "cr.hauberk.io/hauberk" },
      tag: { type: "string", default: "latest" },
      advisories: { type: "string" },
      conformance: { type: "string" },
      gate: { type: "string", default: "https://hauberk.io/gate/v1" },
      level: { type: "string", default: "1" },
      channel: { type: "string", default: "stable" },
      root: { type: "string" },
      state: { type: "string" },
      installed: { type: "string" },
      next: { type: "string" },
      "plain-http": { type: "boolean", default: false },
    },
  });
  const [command, from, to] = positionals;
  const place = (where: string) => ({ where, tag: values.tag, isPlainHttp: values["plain-http"] });
  if (command === "channel") {
    const { channel, keys, next, trust, root, state, installed } = values;
    const options = { channel, keys, next, trust, root, state, installed, isNew: values["new-keys"] };
    return runChannel(positionals.slice(1), options);
  }
  if (command === "gate") {
    const { keys, trust, conformance, level } = values;
    if (from === undefined || keys === undefined || trust === undefined || conformance === undefined)
      throw new UsageError("gate needs a release, --keys, --trust and --conformance");
    if (level !== "1" && level !== "2") throw new UsageError("--level is 1 or 2: more is not claimed");
    await passGate({
      dir: resolve(from),
      keys: resolve(keys),
      isNew: values["new-keys"],
      trustFile: resolve(trust),
      report: resolve(conformance),
      gateId: values.gate,
      level: level === "1" ? 1 : 2,
    });
    return 0;
  }
  if (command === "verify" && from !== undefined && values.trust !== undefined)
    return verify(place(from), resolve(values.trust));
  if (command === "publish" && from !== undefined && to !== undefined)
    return publish(resolve(from), place(to));
  if (command !== undefined || values.out === undefined || values.keys === undefined) {
    process.stderr.write(USAGE);
    return 64;
  }
  await makeRelease({
    out: resolve(values.out),
    keys: resolve(values.keys),
    isNew: values["new-keys"],
    revision: values.revision,
    advisories: values.advisories === undefined ? undefined : resolve(values.advisories),
    naming: { builderId: values.builder, sourceUri: values.source, repository: values.repository },
  });
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(`× ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof UsageError) process.stderr.write(USAGE);
  process.exitCode = error instanceof UsageError ? 64 : 1;
}
