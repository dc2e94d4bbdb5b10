/** Makes a release in a folder: from a commit to images with everything that their builder says of them. */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { cycloneDx } from "@hauberk/sbom/cyclonedx.ts";
import { ageOf, matches, SNAPSHOT_DAYS_MAX, type Snapshot } from "@hauberk/sbom/osv.ts";
import { readSnapshot } from "@hauberk/sbom/snapshot.ts";
import { openVex, Triage } from "@hauberk/sbom/vex.ts";
import { z } from "zod";
import { attest, type BuilderClaims, type Signer } from "./attest/attest.ts";
import { makeSigner, partyOf, publicPem, readSigner, writeTrust } from "./attest/keys.ts";
import { provenance } from "./attest/provenance.ts";
import { CLI } from "./build/scripts.ts";
import { describeRelease, kindsIn } from "./channel/describe.ts";
import { writeDescription, type Release } from "./channel/release.ts";
import { printKinds } from "./kinds.ts";
import { inventoryOf, materialsOf } from "./describe.ts";
import { Layout } from "./oci/layout.ts";
import type { Keyless } from "./sign/configuration.ts";
import { exportSource, type Source } from "./source.ts";
import { IMAGES, type ImageName } from "./verify/release.ts";
import {
  buildAll,
  fetchInputs,
  imageAll,
  manifestOf,
  PLATFORM,
  type Built,
  type Imaged,
  type Inputs,
} from "./stages.ts";

const say = (text: string) => process.stderr.write(`${text}\n`);

async function timed<T>(title: string, work: Promise<T>): Promise<T> {
  const began = process.hrtime.bigint();
  const result = await work;
  say(`√ ${title} (${Math.round(Number(process.hrtime.bigint() - began) / 1e9)} s)`);
  return result;
}

export interface Naming {
  readonly builderId: string;
  readonly sourceUri: string;
  /** Where the images will lie, unless an operator mirrors them. */
  readonly repository: string;
}

/** What is known of vulnerabilities on the day of the release. */
interface Known {
  readonly snapshot: Snapshot | undefined;
  readonly triage: Triage;
}

/** @throws if the operator's snapshot is too old to say what is known today. */
async function readKnown(source: Source, dir: string | undefined): Promise<Known> {
  const triage = Triage.parse(JSON.parse(await readFile(join(source.dir, "sbom", "triage.json"), "utf8")));
  if (dir === undefined) {
    say("· no snapshot of advisories is given (--advisories): the VEX documents say so");
    return { snapshot: undefined, triage };
  }
  const snapshot = await readSnapshot(dir);
  const { days, isStale } = ageOf(snapshot, new Date());
  if (isStale)
    throw new Error(
      `advisories-stale: the snapshot's newest advisory is ${days} days old, at most ${SNAPSHOT_DAYS_MAX} are taken`,
    );
  say(`√ ${snapshot.advisories.length} advisories, the newest ${days} days old, sha256:${snapshot.digest}`);
  return { snapshot, triage };
}

function fixesOf({ triage }: Known, version: string) {
  return Object.entries(triage).flatMap(([id, judgement]) =>
    judgement.status === "fixed" && judgement.in === version ? [{ id, component: judgement.component }] : [],
  );
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
    readonly known: Known;
  },
): Promise<void> {
  const { source, inputs, built, signer, naming, out, known } = context;
  const inventory = await inventoryOf(image, source, inputs);
  const bom = await cycloneDx(inventory, "1.6");
  await writeFile(join(out, `${image.name}.cdx.json`), bom);
  await writeFile(join(out, `${image.name}.cdx-1.7.json`), await cycloneDx(inventory, "1.7"));
  const at = new Date(source.epochSeconds * 1000).toISOString();
  const product = `pkg:oci/hauberk-${image.name}@${image.index.digest}`;
  const vex = openVex(matches(inventory.components, known.snapshot?.advisories ?? []), known.triage, {
    product,
    id: `${naming.builderId}/vex/${source.commit}/${image.name}`,
    author: naming.builderId,
    at,
    source: known.snapshot,
  });
  await writeFile(join(out, `${image.name}.openvex.json`), `${JSON.stringify(vex, undefined, 2)}\n`);
  const claims: BuilderClaims = {
    signature: {},
    vex,
    bom: JSON.parse(bom),
    provenance: provenance({
      ...naming,
      commit: source.commit,
      version: source.version,
      artifact: image.name,
      platform: `linux/${PLATFORM.oci}`,
      materials: await materialsOf(inventory, source, inputs),
      outputs: built.get(image.name)?.outputs ?? new Map(),
      invocationId: `${naming.builderId}/runs/${source.commit}`,
      at,
    }),
  };
  for (const subject of [image.index, ...image.images]) {
    await attest(layout, { subject, name: `hauberk-${image.name}`, claims }, { signer, at });
  }
}

/** Makes the release, and prints each image's digest. */
export async function makeRelease(options: {
  readonly out: string;
  readonly keys: string;
  readonly isNew: boolean;
  readonly revision: string;
  /** Images to make; all of them if none is named. */
  readonly only: readonly ImageName[];
  /** Folder of an OSV snapshot. */
  readonly advisories: string | undefined;
  readonly naming: Naming;
  /** Signs everything once more, with certificates. */
  readonly keyless: Keyless | undefined;
}): Promise<void> {
  const root = resolve(import.meta.dirname, "..");
  const { keyless } = options;
  const keys = options.isNew ? await makeSigner(options.keys) : await readSigner(options.keys);
  const signer: Signer = keyless === undefined ? keys : { ...keys, seal: keyless.seal };
  const work = `${options.out}.work`;
  await rm(work, { recursive: true, force: true });
  await mkdir(options.out, { recursive: true });
  const manifest = z.object({ version: z.string() });
  const { version } = manifest.parse(JSON.parse(await readFile(join(root, "package.json"), "utf8")));
  const source = await exportSource(root, { revision: options.revision, dir: join(work, "source"), version });
  say(`· Hauberk ${version}, commit ${source.commit}`);
  const names = options.only.length > 0 ? options.only : IMAGES;
  const known = await readKnown(source, options.advisories);
  const inputs = await timed("inputs fetched and checked", fetchInputs(source, join(work, "inputs")));
  const built = await timed(
    "everything built twice, without network, alike",
    buildAll(source, inputs, { dir: join(work, "build"), names }),
  );
  const layout = await Layout.create(join(options.out, "images"));
  const images = await timed("images written", imageAll(layout, { source, inputs, built }));
  for (const image of images) {
    const context = { source, inputs, built, signer, naming: options.naming, out: options.out, known };
    await timed(`${image.name} described, attested and signed`, attestImage(layout, image, context));
  }
  await writeFile(join(options.out, "cosign.pub"), publicPem(signer.classical.publicKey));
  await writeFile(
    join(options.out, "trust.json"),
    writeTrust({
      builder: partyOf(signer, options.naming.builderId, keyless?.certified),
      ...(keyless === undefined ? {} : { sigstore: keyless.root }),
    }),
  );
  const cli = built.get("cli");
  let crds: Release["crds"] = [];
  if (cli !== undefined) {
    const node = join(inputs.packages, `node-linux-${PLATFORM.node}`, "bin", "node");
    const kinds = await printKinds(cli, {
      dir: join(work, "kinds"),
      node,
      manifest: await manifestOf(source, CLI),
    });
    await writeFile(join(options.out, "crds.yaml"), kinds);
    crds = kindsIn(kinds.toString());
  }
  const description = describeRelease(source, {
    crds,
    repository: options.naming.repository,
    images: Object.fromEntries(images.map(({ name, index }) => [name, index.digest])),
    fixes: fixesOf(known, version),
    conformance: {},
  });
  await writeFile(join(options.out, "release.json"), writeDescription(description));
  await rm(work, { recursive: true, force: true });
  for (const { name, index } of images) process.stdout.write(`${name} ${index.digest}\n`);
}
