/** `npm run release`: makes a release in a folder, or verifies one. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { cycloneDx } from "@hauberk/sbom/cyclonedx.ts";
import { z } from "zod";
import { attest, type Signer } from "./attest/attest.ts";
import { makeSigner, publicPem, readSigner, readTrust, writeTrust } from "./attest/keys.ts";
import { provenance } from "./attest/provenance.ts";
import { CHANNEL_USAGE, runChannel, UsageError } from "./channel/command.ts";
import { describeRelease } from "./channel/describe.ts";
import { writeDescription } from "./channel/release.ts";
import { describeChecks } from "./verify/report.ts";
import { inventoryOf, materialsOf } from "./describe.ts";
import { Layout } from "./oci/layout.ts";
import { Repository } from "./oci/registry.ts";
import { publishImage } from "./publish.ts";
import { exportSource, type Source } from "./source.ts";
import { buildAll, fetchInputs, imageAll, PLATFORM, type Built, type Imaged, type Inputs } from "./stages.ts";
import { verifyImage, type Check, type Trust } from "./verify/verify.ts";

const USAGE = `usage:
  npm run release -- --out DIR --keys DIR [--new-keys] [--revision REV] [--builder URI] [--source URI]
  npm run release -- verify DIR|REPOSITORY --trust FILE [--tag TAG] [--plain-http]
  npm run release -- publish DIR REPOSITORY --tag TAG [--plain-http]

${CHANNEL_USAGE.trimStart()}
REPOSITORY is HOST[:PORT]/PATH; the images are PATH/proxy, PATH/controller and PATH/cli. A password for it comes from
REGISTRY_USERNAME and REGISTRY_PASSWORD.
`;

/** Names of the images in a release's layout. */
const IMAGES = ["proxy", "controller", "cli"] as const;

const say = (text: string) => process.stderr.write(`${text}\n`);

async function timed<T>(title: string, work: Promise<T>): Promise<T> {
  const began = process.hrtime.bigint();
  const result = await work;
  say(`√ ${title} (${Math.round(Number(process.hrtime.bigint() - began) / 1e9)} s)`);
  return result;
}

interface Naming {
  readonly builderId: string;
  readonly sourceUri: string;
  /** Where the images will lie, unless an operator mirrors them. */
  readonly repository: string;
}

async function attestImage(
  layout: Layout,
  image: Imaged,
  context: {
    readonly source: Source;
    readonly inputs: Inputs;
    readonly built: Built;
    readonly signer: Signer;
    readonly naming: Naming;
    readonly out: string;
  },
): Promise<void> {
  const { source, inputs, built, signer, naming, out } = context;
  const inventory = await inventoryOf(image, source, inputs);
  const bom = await cycloneDx(inventory, "1.6");
  await writeFile(join(out, `${image.name}.cdx.json`), bom);
  await writeFile(join(out, `${image.name}.cdx-1.7.json`), await cycloneDx(inventory, "1.7"));
  const at = new Date(source.epochSeconds * 1000).toISOString();
  const claims = {
    signature: {},
    bom: JSON.parse(bom),
    provenance: provenance({
      ...naming,
      commit: source.commit,
      version: source.version,
      artifact: image.name,
      platform: `linux/${PLATFORM.oci}`,
      materials: await materialsOf(inventory, source, inputs),
      outputs: built[image.name].outputs,
      invocationId: `${naming.builderId}/runs/${source.commit}`,
      at,
    }),
  };
  for (const subject of [image.index, ...image.images]) {
    await attest(layout, { subject, name: `hauberk-${image.name}`, claims }, { signer, at });
  }
}

async function make(options: {
  readonly out: string;
  readonly keys: string;
  readonly isNew: boolean;
  readonly revision: string;
  readonly naming: Naming;
}): Promise<void> {
  const root = resolve(import.meta.dirname, "..");
  const signer = options.isNew ? await makeSigner(options.keys) : await readSigner(options.keys);
  const work = `${options.out}.work`;
  await rm(work, { recursive: true, force: true });
  await mkdir(options.out, { recursive: true });
  const manifest = z.object({ version: z.string() });
  const { version } = manifest.parse(JSON.parse(await readFile(join(root, "package.json"), "utf8")));
  const source = await exportSource(root, { revision: options.revision, dir: join(work, "source"), version });
  say(`· Hauberk ${version}, commit ${source.commit}`);
  const inputs = await timed("inputs fetched and checked", fetchInputs(source, join(work, "inputs")));
  const built = await timed(
    "everything built twice, without network, alike",
    buildAll(source, inputs, join(work, "build")),
  );
  const layout = await Layout.create(join(options.out, "images"));
  const images = await timed("images written", imageAll(layout, { source, inputs, built }));
  for (const image of images) {
    const context = { source, inputs, built, signer, naming: options.naming, out: options.out };
    await timed(`${image.name} described, attested and signed`, attestImage(layout, image, context));
  }
  await writeFile(join(options.out, "cosign.pub"), publicPem(signer.classical.publicKey));
  await writeFile(join(options.out, "trust.json"), writeTrust(signer, options.naming.builderId));
  const description = await describeRelease(source, {
    repository: options.naming.repository,
    images: Object.fromEntries(images.map(({ name, index }) => [name, index.digest])),
    fixes: [],
    conformance: {},
  });
  await writeFile(join(options.out, "release.json"), writeDescription(description));
  await rm(work, { recursive: true, force: true });
  for (const { name, index } of images) process.stdout.write(`${name} ${index.digest}\n`);
}

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
  if (command === "verify" && from !== undefined && values.trust !== undefined)
    return verify(place(from), resolve(values.trust));
  if (command === "publish" && from !== undefined && to !== undefined)
    return publish(resolve(from), place(to));
  if (command !== undefined || values.out === undefined || values.keys === undefined) {
    process.stderr.write(USAGE);
    return 64;
  }
  await make({
    out: resolve(values.out),
    keys: resolve(values.keys),
    isNew: values["new-keys"],
    revision: values.revision,
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
