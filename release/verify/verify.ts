/** What is demanded of a release's images, and who must have said it. */
import type { PublicKey } from "@hauberk/crypto/algorithms.ts";
import { isSealedBy, type Envelope } from "@hauberk/crypto/dsse.ts";
import { z } from "zod";
import { BUNDLE, COMPANION, isCompanionOf, readBundle } from "../attest/bundle.ts";
import {
  IN_TOTO,
  Predicate,
  readStatement,
  type PredicateName,
  type Statement,
} from "../attest/statement.ts";
import { Index, Manifest, MediaType, parseDocument, type Descriptor, type Digest } from "../oci/model.ts";
import type { Store } from "../oci/store.ts";

/** Whom a verifier believes. */
export interface Trust {
  /** ECDSA P-256 key of the builder. */
  readonly builder: PublicKey;
  /** ML-DSA-87 key of the builder. */
  readonly postQuantum: PublicKey;
  /** The builder that provenance must name. */
  readonly builderId: string;
}

/** Why something is refused. The names are stable: scripts and the tests of attacks go by them. */
export type Refusal =
  | "image-unknown"
  | "content-altered"
  | "statement-missing"
  | "statement-unreadable"
  | "signer-wrong"
  | "subject-wrong"
  | "companion-missing"
  | "companion-wrong"
  | "builder-wrong"
  | "source-missing"
  | "bom-empty";

export type Outcome =
  | { readonly ok: true; readonly statement: Statement }
  | { readonly ok: false; readonly refusal: Refusal; readonly detail: string };

/** One demand, and how it came out. */
export interface Check {
  /** Digest, or the name that was asked for where nothing has it. */
  readonly subject: string;
  /** `index`, or a platform as `linux/amd64`. */
  readonly part: string;
  readonly demand: PredicateName;
  readonly outcome: Outcome;
}

const refuse = (refusal: Refusal, detail: string): Outcome => ({ ok: false, refusal, detail });

interface Attached {
  readonly digest: Digest;
  readonly envelope: Envelope;
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
      bundles.push({ digest, envelope: readBundle(bytes) });
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

const Provenance = z.object({
  buildDefinition: z.object({
    resolvedDependencies: z.array(z.object({ digest: z.record(z.string(), z.string()) })).min(1),
  }),
  runDetails: z.object({ builder: z.object({ id: z.string() }) }),
});

const Bom = z.object({ bomFormat: z.literal("CycloneDX"), components: z.array(z.unknown()) });

/** Whether what the statement says is enough; its signature has been checked. */
function judge(demand: PredicateName, { predicate }: Statement, trust: Trust): Outcome | undefined {
  switch (demand) {
    case "signature":
      return undefined;
    case "provenance": {
      const read = Provenance.safeParse(predicate);
      if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
      const { buildDefinition, runDetails } = read.data;
      if (runDetails.builder.id !== trust.builderId)
        return refuse("builder-wrong", `built by ${runDetails.builder.id}, not by ${trust.builderId}`);
      const hasCommit = buildDefinition.resolvedDependencies.some(({ digest }) => "gitCommit" in digest);
      return hasCommit ? undefined : refuse("source-missing", "it names no commit");
    }
    case "bom": {
      const read = Bom.safeParse(predicate);
      if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
      return read.data.components.length > 0 ? undefined : refuse("bom-empty", "it lists nothing");
    }
  }
}

function check(
  demand: PredicateName,
  subject: Digest,
  attached: Awaited<ReturnType<typeof attachedTo>>,
  trust: Trust,
): Outcome {
  const sha256 = subject.slice("sha256:".length);
  let last: Outcome = refuse(
    attached.unreadable > 0 ? "statement-unreadable" : "statement-missing",
    `no ${Predicate[demand]} is attached`,
  );
  for (const { digest, envelope } of attached.bundles) {
    const statement = statementIn(envelope);
    if (statement?.predicateType !== Predicate[demand]) continue;
    if (!isSealedBy(envelope, trust.builder)) {
      last = refuse("signer-wrong", "its signature is not the trusted builder's");
      continue;
    }
    if (!statement.subject.some((one) => one.digest.sha256 === sha256)) {
      last = refuse("subject-wrong", "it speaks of another artifact");
      continue;
    }
    const isAccompanied = attached.companions.some((bytes) =>
      isCompanionOf(bytes, { bundle: digest, envelope, key: trust.postQuantum }),
    );
    if (!isAccompanied) {
      last = refuse(
        attached.companions.length === 0 ? "companion-missing" : "companion-wrong",
        "no ML-DSA-87 signature of the trusted builder goes with it",
      );
      continue;
    }
    return judge(demand, statement, trust) ?? { ok: true, statement };
  }
  return last;
}

const DEMANDS: readonly PredicateName[] = ["signature", "provenance", "bom"];

/** The parts of an image: its index, and what the index names. Every blob is read and compared with its name. */
async function partsOf(store: Store, index: Descriptor, bytes: Buffer) {
  const parts: { readonly part: string; readonly digest: Digest }[] = [
    { part: "index", digest: index.digest },
  ];
  if (index.mediaType !== MediaType.index) return [{ part: "image", digest: index.digest }];
  for (const child of parseDocument(Index, bytes, index.digest).manifests) {
    const stored = await store.document(child.digest);
    if (stored === undefined) throw new Error(`${child.digest} is named and not there`);
    const manifest = parseDocument(Manifest, stored.bytes, child.digest);
    for (const { digest } of [manifest.config, ...manifest.layers]) await store.blob(digest);
    const { os = "unknown", architecture = "unknown" } = child.platform ?? {};
    parts.push({ part: `${os}/${architecture}`, digest: child.digest });
  }
  return parts;
}

/**
 * Everything that is demanded of the image `reference`: of its index and of every platform's image, a signature,
 * provenance and a bill of materials, each signed by both keys. All checks are made, also after a failure.
 */
export async function verifyImage(store: Store, reference: string, trust: Trust): Promise<readonly Check[]> {
  const stored = await store.document(reference);
  const nowhere = (outcome: Outcome, subject: string): Check => ({
    subject,
    part: reference,
    demand: "signature",
    outcome,
  });
  if (stored === undefined)
    return [nowhere(refuse("image-unknown", `${store.name} has no ${reference}`), reference)];
  try {
    const checks: Check[] = [];
    for (const { part, digest } of await partsOf(store, stored.descriptor, stored.bytes)) {
      const attached = await attachedTo(store, digest);
      for (const demand of DEMANDS) {
        checks.push({ subject: digest, part, demand, outcome: check(demand, digest, attached, trust) });
      }
    }
    return checks;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [nowhere(refuse("content-altered", detail), stored.descriptor.digest)];
  }
}
