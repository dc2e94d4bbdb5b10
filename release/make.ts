/** Makes a release in a folder: from a commit to everything in it with what its builder says of it. */
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { merge, type Inventory } from "@hauberk/sbom/component.ts";
import { cycloneDx } from "@hauberk/sbom/cyclonedx.ts";
import { ageOf, matches, SNAPSHOT_DAYS_MAX, type Snapshot } from "@hauberk/sbom/osv.ts";
import { readSnapshot } from "@hauberk/sbom/snapshot.ts";
import { openVex, Triage } from "@hauberk/sbom/vex.ts";
import { z } from "zod";
import { attest, type BuilderClaims, type Signer } from "./attest/attest.ts";
import { makeSigner, partyOf, publicPem, readSigner, writeTrust } from "./attest/keys.ts";
import { provenance } from "./attest/provenance.ts";
import { describeRelease, kindsIn } from "./channel/describe.ts";
import { writeDescription } from "./channel/release.ts";
import { materialsOf } from "./describe.ts";
import type { Inputs } from "./inputs.ts";
import { isImageName, kindsOf, type KindName } from "./kinds.ts";
import type { Layout } from "./oci/layout.ts";
import { makeAll } from "./pipeline.ts";
import type { Platform } from "./platform.ts";
import type { Keyless } from "./sign/configuration.ts";
import { signSimply } from "./sign/tags.ts";
import { exportSource, type Source } from "./source.ts";
import type { Made, Part } from "./stages.ts";

const say = (text: string) => process.stderr.write(`${text}\n`);

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

/** What all parts of a release are described by. */
interface Context {
  readonly source: Source;
  readonly inputs: Inputs;
  readonly signer: Signer;
  readonly naming: Naming;
  readonly out: string;
  readonly known: Known;
}

/** What the builder says of one digest. */
async function claimsOf(
  kind: string,
  { descriptor, inventory, outputs, platform }: Part,
  { source, inputs, naming, known }: Context,
): Promise<BuilderClaims> {
  const at = new Date(source.epochSeconds * 1000).toISOString();
  const vex = openVex(matches(inventory.components, known.snapshot?.advisories ?? []), known.triage, {
    product: `pkg:oci/hauberk-${kind}@${descriptor.digest}`,
    id: `${naming.builderId}/vex/${source.commit}/${descriptor.digest}`,
    author: naming.builderId,
    at,
    source: known.snapshot,
  });
  return {
    signature: {},
    vex,
    bom: JSON.parse(await cycloneDx(inventory, "1.6")),
    provenance: provenance({
      ...naming,
      commit: source.commit,
      version: source.version,
      artifact: kind,
      platform: platform ?? "any",
      materials: await materialsOf(inventory, source, inputs),
      outputs,
      invocationId: `${naming.builderId}/runs/${source.commit}`,
      at,
    }),
  };
}

/** The whole of a kind: everything that is in any of its parts. */
function wholeOf({ whole, parts }: Made): Part {
  const [only, ...more] = parts;
  if (only === undefined) throw new Error("a kind without parts is made of nothing");
  if (more.length === 0 && only.descriptor.digest === whole.digest) return only;
  const { architecture: _architecture, components: _components, crypto: _crypto, ...head } = only.inventory;
  return {
    descriptor: whole,
    inventory: merge(
      head,
      parts.map(({ inventory }) => inventory),
    ),
    outputs: new Map(
      parts.flatMap((part) =>
        [...part.outputs].map(([name, digest]) => [outputName(part, name), digest] as const),
      ),
    ),
    platform: parts.flatMap(({ platform }) => platform ?? []).join(", "),
  };
}

/** Scripts are the same on every platform; binaries are not. */
const outputName = ({ platform }: Part, name: string) =>
  name.includes(".") ? name : `${platform ?? "any"}/${name}`;

async function attestKind(layout: Layout, made: Made, context: Context): Promise<void> {
  const { signer, out, source, naming } = context;
  const at = new Date(source.epochSeconds * 1000).toISOString();
  const reference = `${naming.repository}/${made.name}`;
  const whole = wholeOf(made);
  await writeBoms(out, made.name, whole.inventory);
  const others = made.parts.filter(({ descriptor }) => descriptor.digest !== whole.descriptor.digest);
  for (const part of [whole, ...others]) {
    const claims = await claimsOf(made.name, part, context);
    if (part === whole)
      await writeFile(
        join(out, `${made.name}.openvex.json`),
        `${JSON.stringify(claims.vex, undefined, 2)}\n`,
      );
    const subject = part.descriptor;
    await attest(layout, { subject, name: `hauberk-${made.name}`, claims }, { signer, at });
    await signSimply(layout, subject, { reference, key: signer.classical, at });
  }
}

async function writeBoms(out: string, name: string, inventory: Inventory): Promise<void> {
  await writeFile(join(out, `${name}.cdx.json`), await cycloneDx(inventory, "1.6"));
  await writeFile(join(out, `${name}.cdx-1.7.json`), await cycloneDx(inventory, "1.7"));
}

/** What people read, beside the artifacts: also where there is no network. */
const DOCUMENTS = ["README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "docs"] as const;

/** What is asked of a release. */
export interface Wish {
  readonly out: string;
  readonly keys: string;
  readonly isNew: boolean;
  readonly revision: string;
  /** Kinds to make; all of them if none is named. */
  readonly only: readonly KindName[];
  readonly platforms: readonly Platform[];
  /** Folder of an OSV snapshot. */
  readonly advisories: string | undefined;
  readonly naming: Naming;
  /** Signs everything once more, with certificates. */
  readonly keyless: Keyless | undefined;
}

const root = resolve(import.meta.dirname, "..");

/** Where fetched packages are kept between releases. */
export const CACHE = join(root, ".cache", "release");

async function versionOf(): Promise<string> {
  const manifest = z.object({ version: z.string() });
  return manifest.parse(JSON.parse(await readFile(join(root, "package.json"), "utf8"))).version;
}

/** Makes the release, and prints each digest. */
export async function makeRelease(wish: Wish): Promise<void> {
  const { out, naming } = wish;
  const keys = wish.isNew ? await makeSigner(wish.keys) : await readSigner(wish.keys);
  const { keyless } = wish;
  const signer: Signer = keyless === undefined ? keys : { ...keys, seal: keyless.seal };
  const work = `${out}.work`;
  await rm(work, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const version = await versionOf();
  const source = await exportSource(root, { revision: wish.revision, dir: join(work, "source"), version });
  say(`· Hauberk ${version}, commit ${source.commit}`);
  const known = await readKnown(source, wish.advisories);
  const names = kindsOf(wish.only);
  const { platforms } = wish;
  const order = { out, work, cache: CACHE, names, platforms, repository: naming.repository, say };
  const { layout, inputs, made, crds } = await makeAll(source, order);
  const context = { source, inputs, signer, naming, out, known };
  for (const one of made) await attestKind(layout, one, context);
  say(`√ ${made.length} kinds described, attested and signed`);
  const inventories = made.flatMap(({ parts }) => parts.map(({ inventory }) => inventory));
  const description = `Hauberk ${version}, commit ${source.commit}`;
  await writeBoms(
    out,
    "hauberk",
    merge({ kind: "application", name: "hauberk", version, description }, inventories),
  );
  await writeFile(join(out, "cosign.pub"), publicPem(signer.classical.publicKey));
  await writeFile(
    join(out, "trust.json"),
    writeTrust({
      builder: partyOf(signer, naming.builderId, keyless?.certified),
      ...(keyless === undefined ? {} : { sigstore: keyless.root }),
    }),
  );
  if (crds !== undefined) await writeFile(join(out, "crds.yaml"), crds);
  for (const path of DOCUMENTS) await cp(join(source.dir, path), join(out, path), { recursive: true });
  const digests = (isImage: boolean) =>
    Object.fromEntries(
      made.flatMap(({ name, whole }) =>
        isImageName(name) === isImage ? [[name, whole.digest] as const] : [],
      ),
    );
  const released = describeRelease(source, {
    crds: crds === undefined ? [] : kindsIn(crds.toString()),
    repository: naming.repository,
    images: digests(true),
    artifacts: digests(false),
    absent: [...inputs.absent],
    fixes: fixesOf(known, version),
    conformance: {},
  });
  await writeFile(join(out, "release.json"), writeDescription(released));
  await rm(work, { recursive: true, force: true });
  for (const { name, whole } of made) process.stdout.write(`${name} ${whole.digest}\n`);
}
