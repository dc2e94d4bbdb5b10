/** What is demanded of a release's images, and who must have said it. */
import { isSealedBy, type Envelope } from "@hauberk/crypto/dsse.ts";
import { z } from "zod";
import { BUNDLE, COMPANION, isCompanionOf, readBundle, type Way } from "../attest/bundle.ts";
import {
  IN_TOTO,
  Predicate,
  readStatement,
  type PredicateName,
  type Statement,
} from "../attest/statement.ts";
import {
  Index,
  Manifest,
  MediaType,
  parseDocument,
  platformName,
  type Descriptor,
  type Digest,
} from "../oci/model.ts";
import type { Store } from "../oci/store.ts";
import { evidenceProblem } from "./certificate.ts";
import { judge } from "./judge.ts";
import { refuse, type Expected, type Outcome, type Trust } from "./trust.ts";

/** One demand, and how it came out. */
export interface Check {
  /** `undefined` where nothing has the name that was asked for. */
  readonly subject: Digest | undefined;
  /** `index`, or a platform as `linux/amd64`. */
  readonly part: string;
  readonly demand: PredicateName;
  readonly way: Way;
  readonly outcome: Outcome;
}

interface Attached {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly envelope: Envelope;
  readonly way: Way;
}

/** The only layer of a referrer. */
async function contentOf(store: Store, referrer: Descriptor): Promise<{ digest: Digest; bytes: Buffer }> {
  const stored = await store.document(referrer.digest);
  if (stored === undefined) throw new Error(`${referrer.digest} is named and not there`);
  const { config, layers } = parseDocument(Manifest, stored.bytes, referrer.digest);
  await store.blob(config.digest);
  const [layer, ...more] = layers;
  if (layer === undefined || more.length > 0) throw new Error(`${referrer.digest} has not one layer`);
  return { digest: layer.digest, bytes: await store.blob(layer.digest) };
}

/** What is attached to a subject: bundles that can be read, and companions. */
async function attachedTo(store: Store, subject: Digest) {
  const bundles: Attached[] = [];
  const companions: Buffer[] = [];
  let unreadable = 0;
  for (const referrer of await store.referrers(subject)) {
    if (referrer.artifactType !== BUNDLE && referrer.artifactType !== COMPANION) continue;
    const { digest, bytes } = await contentOf(store, referrer);
    if (referrer.artifactType === COMPANION) {
      companions.push(bytes);
      continue;
    }
    try {
      bundles.push({ digest, bytes, ...readBundle(bytes) });
    } catch {
      // Anybody may attach anything; a bundle that cannot be read counts only where none that can be read is left.
      unreadable += 1;
    }
  }
  return { bundles, companions, unreadable };
}

function statementIn(envelope: Envelope): Statement | undefined {
  try {
    return envelope.payloadType === IN_TOTO ? readStatement(envelope.payload) : undefined;
  } catch {
    return undefined;
  }
}

/** What is wrong with who signed it, and how; `undefined` if nothing is. */
function wrongSigner(bundle: Attached, by: PartyName, trust: Trust): Outcome | undefined {
  const party = trust[by];
  switch (bundle.way) {
    case "key":
      if (party !== undefined && isSealedBy(bundle.envelope, party.classical)) return undefined;
      return refuse("signer-wrong", `its signature is not the trusted ${by}'s`);
    case "certificate": {
      if (party?.certified === undefined || trust.sigstore === undefined)
        return refuse("signer-wrong", `no certificate of a ${by} is trusted`);
      const problem = evidenceProblem(bundle.bytes, party.certified, trust.sigstore);
      return problem === undefined ? undefined : refuse(problem.refusal, problem.detail);
    }
  }
}

interface Found {
  readonly attached: Awaited<ReturnType<typeof attachedTo>>;
  readonly trust: Trust;
  readonly expected: Expected;
}

function check(
  { predicate, by }: Demand,
  way: Way,
  subject: Digest,
  { attached, trust, expected }: Found,
): Outcome {
  const sha256 = subject.slice("sha256:".length);
  const party = trust[by];
  if (party === undefined) return refuse("signer-wrong", `no ${by} is trusted`);
  let last: Outcome = refuse(
    attached.unreadable > 0 ? "statement-unreadable" : "statement-missing",
    `no ${Predicate[predicate]} is attached${way === "key" ? "" : " that is signed with a certificate"}`,
  );
  for (const bundle of attached.bundles) {
    const { digest, envelope } = bundle;
    const statement = statementIn(envelope);
    if (bundle.way !== way || statement?.predicateType !== Predicate[predicate]) continue;
    const wrong = wrongSigner(bundle, by, trust);
    if (wrong !== undefined) {
      last = wrong;
      continue;
    }
    if (!statement.subject.some((one) => one.digest.sha256 === sha256)) {
      last = refuse("subject-wrong", "it speaks of another artifact");
      continue;
    }
    const isAccompanied = attached.companions.some((bytes) =>
      isCompanionOf(bytes, { bundle: digest, envelope, key: party.postQuantum }),
    );
    if (!isAccompanied) {
      last = refuse(
        attached.companions.length === 0 ? "companion-missing" : "companion-wrong",
        `no ML-DSA-87 signature of the trusted ${by} goes with it`,
      );
      continue;
    }
    const beside = new Set(attached.bundles.map((one) => one.digest.slice("sha256:".length)));
    return (
      judge(predicate, statement, { trust, expected, beside }) ?? { ok: true, statement, bundle: digest }
    );
  }
  return last;
}

type PartyName = "builder" | "gate";

/** One statement that must be there, and who must have made it. */
interface Demand {
  readonly predicate: PredicateName;
  readonly by: PartyName;
}

const DEMANDS: readonly Demand[] = [
  { predicate: "signature", by: "builder" },
  { predicate: "provenance", by: "builder" },
  { predicate: "bom", by: "builder" },
  { predicate: "vex", by: "builder" },
  { predicate: "summary", by: "gate" },
  { predicate: "testResult", by: "gate" },
];

/** What an image says of itself (image specification, "Image Configuration"). */
const Config = z.object({ os: z.string(), architecture: z.string() });

function platformIn(configuration: Buffer, name: string): string {
  const { os, architecture } = parseDocument(Config, configuration, name);
  return `${os}/${architecture}`;
}

interface Part {
  readonly part: string;
  readonly digest: Digest;
  /** What the image itself says, where it differs from what the index says. */
  readonly otherwise?: string;
}

/** The parts of an image: its index, and what the index names. Every blob is read and compared with its name. */
async function partsOf(store: Store, index: Descriptor, bytes: Buffer): Promise<readonly Part[]> {
  if (index.mediaType !== MediaType.index) {
    const { config, layers } = parseDocument(Manifest, bytes, index.digest);
    for (const { digest } of [config, ...layers]) await store.blob(digest);
    return [{ part: "artifact", digest: index.digest }];
  }
  const parts: Part[] = [{ part: "index", digest: index.digest }];
  for (const child of parseDocument(Index, bytes, index.digest).manifests) {
    const stored = await store.document(child.digest);
    if (stored === undefined) throw new Error(`${child.digest} is named and not there`);
    const { config, layers } = parseDocument(Manifest, stored.bytes, child.digest);
    const configuration = await store.blob(config.digest);
    for (const { digest } of layers) await store.blob(digest);
    const said = platformName(child.platform);
    // What is no image has no configuration that could speak of a platform.
    const is = config.mediaType === MediaType.config ? platformIn(configuration, config.digest) : said;
    parts.push({ part: said, digest: child.digest, ...(is === said ? {} : { otherwise: is }) });
  }
  return parts;
}

/**
 * Everything that is demanded of the image `reference`: of its index and of every platform's image, the builder's signature,
 * provenance, bill of materials and VEX document, and the gate's summary and test result, each signed by both keys of its
 * party, and once more with a certificate of a party that is `certified`. All checks are made, also after a failure. `isGate` leaves out what the gate is about to add.
 * What is `expected` is held against the provenance: whatever was released once stays well signed.
 */
export async function verifyImage(
  store: Store,
  reference: string,
  trust: Trust,
  { isGate = false, expected = {} }: { readonly isGate?: boolean; readonly expected?: Expected } = {},
): Promise<readonly Check[]> {
  const stored = await store.document(reference);
  const nowhere = (outcome: Outcome, subject: Digest | undefined): Check => ({
    subject,
    part: reference,
    demand: "signature",
    way: "key",
    outcome,
  });
  if (stored === undefined)
    return [nowhere(refuse("image-unknown", `${store.name} has no ${reference}`), undefined)];
  try {
    const checks: Check[] = [];
    if (expected.digest !== undefined && expected.digest !== stored.descriptor.digest) {
      const outcome = refuse("digest-wrong", `the release names ${expected.digest}`);
      checks.push(nowhere(outcome, stored.descriptor.digest));
    }
    for (const { part, digest, otherwise } of await partsOf(store, stored.descriptor, stored.bytes)) {
      const attached = await attachedTo(store, digest);
      if (otherwise !== undefined) {
        const outcome = refuse("platform-wrong", `the image itself is for ${otherwise}`);
        checks.push({ subject: digest, part, demand: "signature", way: "key", outcome });
      }
      for (const demand of DEMANDS) {
        if (isGate && demand.by === "gate") continue;
        const ways: readonly Way[] =
          trust[demand.by]?.certified === undefined ? ["key"] : ["key", "certificate"];
        for (const way of ways) {
          const outcome = check(demand, way, digest, { attached, trust, expected });
          checks.push({ subject: digest, part, demand: demand.predicate, way, outcome });
        }
      }
    }
    return checks;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [nowhere(refuse("content-altered", detail), stored.descriptor.digest)];
  }
}
