/** What is written down of a rotation, and what is asked for: read strictly, wherever it lies. Pure. */
import { z } from "zod";
import type { Rotation, RotationPlan } from "./trust-rotation.ts";

const Fingerprint = z.string().regex(/^[0-9a-f]{64}$/, "is not a SHA-256 fingerprint");

/** Most bytes of a PEM text of ours. */
const PEM_CHARS_MAX = 1024 * 1024;

/** Names of rotations and of who asked for them: shown, never run. */
const Shown = z.string().min(1).max(256);

const Plan: z.ZodType<RotationPlan> = z.strictObject({
  id: Shown,
  by: Shown,
  startedMs: z.number().int(),
  from: Fingerprint,
  to: Fingerprint,
});

const Since = z
  .number()
  .int()
  .nullable()
  .transform((ms) => ms ?? undefined);

const RotationForm = z.discriminatedUnion("phase", [
  z.strictObject({ phase: z.literal("steady") }),
  z.strictObject({ phase: z.literal("introducing"), plan: Plan, writtenMs: Since }),
  z.strictObject({ phase: z.literal("reissuing"), plan: Plan, switchedMs: Since }),
  z.strictObject({ phase: z.literal("retiring"), plan: Plan }),
  z.strictObject({ phase: z.literal("abandoning"), plan: Plan }),
]);

/** What an operator is shown of the mesh's trust. */
const Status = z.object({
  atMs: z.number(),
  /** Digest of the bundle, as proxies tell theirs in `hauberk_trust_bundle`. */
  bundle: z.string(),
  roots: z.array(z.object({ fingerprint: z.string(), name: z.string(), notAfterMs: z.number() })),
  issuer: z.object({ fingerprint: z.string(), root: z.string(), notAfterMs: z.number() }),
  /** Live proxies, and those among them that proved what they trust. */
  proxies: z.number().int(),
  proven: z.number().int(),
  /** What the rotation waits for: the first few, and how many there are. */
  waiting: z.array(z.string()),
  waitingCount: z.number().int(),
  /** Why the last request was not taken. */
  refused: z.string().optional(),
});
export type TrustStatus = z.infer<typeof Status>;

const RecordForm = z.strictObject({
  version: z.literal(1),
  rotation: RotationForm,
  /** The last rotation that was begun: its request is not begun twice. */
  last: z.string().max(256).optional(),
  status: Status.optional(),
});

/** Everything that is written down. */
export interface TrustRecord {
  readonly rotation: Rotation;
  readonly last: string | undefined;
  readonly status: TrustStatus | undefined;
}

/** Before anything was written down. */
export const NOTHING_RECORDED: TrustRecord = {
  rotation: { phase: "steady" },
  last: undefined,
  status: undefined,
};

const RequestForm = z.strictObject({
  version: z.literal(1),
  id: Shown,
  by: Shown,
  startedMs: z.number().int(),
  /** The root that comes, in PEM. */
  root: z.string().max(PEM_CHARS_MAX),
  /** The issuer below it; absent where others bring it. */
  issuer: z
    .strictObject({
      certificates: z.string().max(PEM_CHARS_MAX),
      privateKey: z.string().max(PEM_CHARS_MAX),
    })
    .optional(),
  /** The operator wants it no longer. */
  abandon: z.boolean().default(false),
});

/** What an operator or the schedule asks for. Only one can be there: making it is the lease of a rotation. */
export interface RotationRequest {
  readonly id: string;
  readonly by: string;
  readonly startedMs: number;
  readonly root: string;
  readonly issuer: { readonly certificates: string; readonly privateKey: string } | undefined;
  readonly abandon: boolean;
}

/** Reads what {@link writeRecord} wrote. Throws an error that names the field. */
export function readRecord(text: string): TrustRecord {
  const { rotation, last, status } = RecordForm.parse(parseJson(text));
  return { rotation, last, status };
}

/** One line per value, so that a person can read it. */
export function writeRecord({ rotation, last, status }: TrustRecord): string {
  const since =
    rotation.phase === "introducing"
      ? { ...rotation, writtenMs: rotation.writtenMs ?? null }
      : rotation.phase === "reissuing"
        ? { ...rotation, switchedMs: rotation.switchedMs ?? null }
        : rotation;
  return `${JSON.stringify({ version: 1, rotation: since, last, status }, undefined, 2)}\n`;
}

/** Reads what {@link writeRequest} wrote. Throws an error that names the field. */
export function readRequest(text: string): RotationRequest {
  const { version: _, issuer, ...request } = RequestForm.parse(parseJson(text));
  return { ...request, issuer };
}

export function writeRequest(request: RotationRequest): string {
  return `${JSON.stringify({ version: 1, ...request }, undefined, 2)}\n`;
}

function parseJson(text: string): unknown {
  return JSON.parse(text);
}
