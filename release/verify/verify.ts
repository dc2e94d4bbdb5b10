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

/** Somebody who signs. */
export interface Party {
  /** A URI that the keys stand for; what they sign must name it where it names anybody. */
  readonly id: string;
  /** ECDSA P-256. */
  readonly classical: PublicKey;
  /** ML-DSA-87. */
  readonly postQuantum: PublicKey;
}

/** Whom a verifier believes: who built, and who looked at it before it was let out. */
export interface Trust {
  readonly builder: Party;
  /** Absent only while the gate itself verifies. */
  readonly gate?: Party;
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
  | "bom-empty"
  | "vulnerability-open"
  | "gate-wrong"
  | "gate-refused"
  | "summary-of-another"
  | "tests-failed";

export type Outcome =
  | { readonly ok: true; readonly statement: Statement; readonly bundle: Digest }
  | { readonly ok: false; readonly refusal: Refusal; readonly detail: string };

/** One demand, and how it came out. */
export interface Check {
  /** `undefined` where nothing has the name that was asked for. */
  readonly subject: Digest | undefined;
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

const Vex = z.object({
  statements: z.array(z.object({ vulnerability: z.object({ name: z.string() }), status: z.string() })),
});

const Summary = z.object({
  verifier: z.object({ id: z.string() }),
  verificationResult: z.string(),
  inputAttestations: z.array(z.object({ digest: z.object({ sha256: z.string() }) })),
});

const TestResult = z.object({ result: z.string(), failedTests: z.array(z.string()).default([]) });

/** What a statement is judged by, besides itself. */
interface Context {
  readonly trust: Trust;
  /** The bundles that are attached beside it, by SHA-256 in hexadecimal. */
  readonly beside: ReadonlySet<string>;
}

function judgeProvenance(predicate: unknown, { builder }: Trust): Outcome | undefined {
  const read = Provenance.safeParse(predicate);
  if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
  const { buildDefinition, runDetails } = read.data;
  if (runDetails.builder.id !== builder.id)
    return refuse("builder-wrong", `built by ${runDetails.builder.id}, not by ${builder.id}`);
  const hasCommit = buildDefinition.resolvedDependencies.some(({ digest }) => "gitCommit" in digest);
  return hasCommit ? undefined : refuse("source-missing", "it names no commit");
}

function judgeSummary(predicate: unknown, { trust, beside }: Context): Outcome | undefined {
  const read = Summary.safeParse(predicate);
  if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
  const { verifier, verificationResult, inputAttestations } = read.data;
  if (verifier.id !== trust.gate?.id)
    return refuse("gate-wrong", `verified by ${verifier.id}, not by ${trust.gate?.id ?? "anybody known"}`);
  if (verificationResult !== "PASSED") return refuse("gate-refused", `the gate says ${verificationResult}`);
  const gone = inputAttestations.find(({ digest }) => !beside.has(digest.sha256));
  if (inputAttestations.length === 0 || gone !== undefined)
    return refuse("summary-of-another", "what the gate looked at is not what is attached");
  return undefined;
}

/** Whether what the statement says is enough; its signature has been checked. */
function judge(demand: PredicateName, { predicate }: Statement, context: Context): Outcome | undefined {
  switch (demand) {
    case "signature":
      return undefined;
    case "provenance":
      return judgeProvenance(predicate, context.trust);
    case "summary":
      return judgeSummary(predicate, context);
    case "bom": {
      const read = Bom.safeParse(predicate);
      if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
      return read.data.components.length > 0 ? undefined : refuse("bom-empty", "it lists nothing");
    }
    case "vex": {
      const read = Vex.safeParse(predicate);
      if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
      const open = read.data.statements.find(({ status }) => status === "under_investigation");
      if (open === undefined) return undefined;
      return refuse("vulnerability-open", `nobody has judged ${open.vulnerability.name}`);
    }
    case "testResult": {
      const read = TestResult.safeParse(predicate);
      if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
      if (read.data.result === "PASSED") return undefined;
      const failed = read.data.failedTests.join(", ");
      return refuse("tests-failed", `the conformance suites ended with ${read.data.result}: ${failed}`);
    }
  }
}

function check(
  { predicate, by }: Demand,
  subject: Digest,
  attached: Awaited<ReturnType<typeof attachedTo>>,
  trust: Trust,
): Outcome {
  const sha256 = subject.slice("sha256:".length);
  const party = trust[by];
  if (party === undefined) return refuse("signer-wrong", `no ${by} is trusted`);
  let last: Outcome = refuse(
    attached.unreadable > 0 ? "statement-unreadable" : "statement-missing",
    `no ${Predicate[predicate]} is attached`,
  );
  for (const { digest, envelope } of attached.bundles) {
    const statement = statementIn(envelope);
    if (statement?.predicateType !== Predicate[predicate]) continue;
    if (!isSealedBy(envelope, party.classical)) {
      last = refuse("signer-wrong", `its signature is not the trusted ${by}'s`);
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
    const beside = new Set(attached.bundles.map((bundle) => bundle.digest.slice("sha256:".length)));
    return judge(predicate, statement, { trust, beside }) ?? { ok: true, statement, bundle: digest };
  }
  return last;
}

/** One statement that must be there, and who must have made it. */
interface Demand {
  readonly predicate: PredicateName;
  readonly by: keyof Trust;
}

const DEMANDS: readonly Demand[] = [
  { predicate: "signature", by: "builder" },
  { predicate: "provenance", by: "builder" },
  { predicate: "bom", by: "builder" },
  { predicate: "vex", by: "builder" },
  { predicate: "summary", by: "gate" },
  { predicate: "testResult", by: "gate" },
];

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
 * Everything that is demanded of the image `reference`: of its index and of every platform's image, the builder's signature,
 * provenance, bill of materials and VEX document, and the gate's summary and test result, each signed by both keys of its
 * party. All checks are made, also after a failure. `isGate` leaves out what the gate is about to add.
 */
export async function verifyImage(
  store: Store,
  reference: string,
  trust: Trust,
  { isGate = false } = {},
): Promise<readonly Check[]> {
  const stored = await store.document(reference);
  const nowhere = (outcome: Outcome, subject: Digest | undefined): Check => ({
    subject,
    part: reference,
    demand: "signature",
    outcome,
  });
  if (stored === undefined)
    return [nowhere(refuse("image-unknown", `${store.name} has no ${reference}`), undefined)];
  try {
    const checks: Check[] = [];
    for (const { part, digest } of await partsOf(store, stored.descriptor, stored.bytes)) {
      const attached = await attachedTo(store, digest);
      for (const demand of DEMANDS) {
        if (isGate && demand.by === "gate") continue;
        const outcome = check(demand, digest, attached, trust);
        checks.push({ subject: digest, part, demand: demand.predicate, outcome });
      }
    }
    return checks;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return [nowhere(refuse("content-altered", detail), stored.descriptor.digest)];
  }
}
