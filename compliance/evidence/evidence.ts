/**
 * What was found in a running mesh and in its release, before anybody judges it. A document of its own: whoever has it can
 * judge again. A fact is either there, with what was asked and the digest of the answer, or absent, with the reason. Pure.
 */
import { z } from "zod";
import { CryptoInventory, LeafFacts } from "../inventory/inventory.ts";

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** What a fact was learnt from. */
export const Source = z.strictObject({
  /** What was asked, in words that can be asked again. */
  query: z.string(),
  /** Of what. */
  object: z.string(),
  at: z.iso.datetime(),
  /** Digest of the answer. */
  digest: Digest,
});
export type Source = z.infer<typeof Source>;

/** A fact, or why there is none. */
function learnt<T extends z.ZodType>(value: T) {
  return z.discriminatedUnion("known", [
    z.strictObject({ known: z.literal(true), source: Source, value }),
    z.strictObject({ known: z.literal(false), query: z.string(), why: z.string() }),
  ]);
}

export type Learnt<T> =
  | { readonly known: true; readonly source: Source; readonly value: T }
  | { readonly known: false; readonly query: string; readonly why: string };

/** A pod, and whether it has a proxy. */
const Workload = z.strictObject({
  namespace: z.string(),
  pod: z.string(),
  meshed: z.boolean(),
  /** Part of the mesh itself, or of a namespace that the operator left out. */
  own: z.boolean(),
  /** Digests of the images that run in it, by container; empty where the runtime says none. */
  images: z.record(z.string(), z.string()).default({}),
});
export type Workload = z.infer<typeof Workload>;

/** Who may reach a port of a meshed workload. */
const Guard = z.strictObject({
  workload: z.string(),
  port: z.number().int(),
  /** The Server, or the default by its name. */
  server: z.string(),
  /** Whether the port is governed by a Server of its own. */
  explicit: z.boolean(),
  /** Whether clients without an identity are let in somewhere. */
  unauthenticated: z.boolean(),
  /** By what they are. */
  by: z.array(z.string()),
});
export type Guard = z.infer<typeof Guard>;

/** One authority of the mesh. */
const Authority = z.strictObject({ name: z.string(), facts: LeafFacts });
export type Authority = z.infer<typeof Authority>;

const Rotation = z.strictObject({
  phase: z.string(),
  /** Digest of the bundle in force, as proxies tell theirs. */
  bundle: z.string(),
  proxies: z.number().int(),
  proven: z.number().int(),
  refused: z.string().optional(),
});

/** A signed record whose entries name each other. */
const Chain = z.strictObject({
  entries: z.number().int(),
  ok: z.boolean(),
  /** Where it is broken, and how. */
  fault: z.string().optional(),
});

const ReleaseCheck = z.strictObject({
  image: z.string(),
  part: z.string(),
  /** As the verifier names it: signature, provenance, bom, vex, summary, testResult. */
  demand: z.string(),
  subject: Digest.optional(),
  ok: z.boolean(),
  detail: z.string().default(""),
});

/** What a release's attestations say, each verified. */
const Release = z.strictObject({
  where: z.string(),
  version: z.string().optional(),
  builder: z.string(),
  gate: z.string(),
  checks: z.array(ReleaseCheck),
  components: z.number().int(),
  /** From the VEX documents: judgements by status, and when the advisories were taken. */
  vulnerabilities: z.record(z.string(), z.number().int()),
  advisoriesAt: z.iso.datetime().optional(),
  conformance: z
    .strictObject({
      result: z.string(),
      passed: z.number().int(),
      warned: z.number().int(),
      failed: z.number().int(),
    })
    .optional(),
});
export type Release = z.infer<typeof Release>;

export const Evidence = z.strictObject({
  format: z.literal("hauberk-evidence/v1"),
  at: z.iso.datetime(),
  collector: z.strictObject({ program: z.string(), version: z.string() }),
  system: z.strictObject({
    kind: z.enum(["cluster", "standalone"]),
    name: z.string(),
    namespace: z.string(),
  }),
  crypto: learnt(CryptoInventory),
  workloads: learnt(z.array(Workload)),
  guards: learnt(z.array(Guard)),
  anchors: learnt(z.array(Authority)),
  issuer: learnt(z.array(Authority)),
  rotation: learnt(Rotation),
  record: learnt(Chain),
  release: learnt(Release),
});
export type Evidence = z.infer<typeof Evidence>;

/** The facts that checks look at. */
export type Fact =
  | "crypto"
  | "workloads"
  | "guards"
  | "anchors"
  | "issuer"
  | "rotation"
  | "record"
  | "release";

/** @throws naming the field that is wrong. */
export function readEvidence(text: string): Evidence {
  const parsed = Evidence.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`evidence: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
