import { z } from "zod";

/** A pod, as `hauberk` shows it. */
export const PodStatus = z.object({
  namespace: z.string(),
  name: z.string(),
  ip: z.string(),
  /** `Deployment/payments-stable`. */
  owner: z.string(),
  phase: z.string(),
  ready: z.boolean(),
  restarts: z.number().int(),
  /** The identity of its proxy; absent: it has none. */
  identity: z.string().optional(),
  adminPort: z.number().int().optional(),
  problem: z.string().optional(),
});
export type PodStatus = z.infer<typeof PodStatus>;

/** Something wrong with a manifest. */
export const ProblemStatus = z.object({
  severity: z.enum(["error", "warning"]),
  file: z.string(),
  line: z.number().int(),
  object: z.string(),
  field: z.string(),
  message: z.string(),
});
export type ProblemStatus = z.infer<typeof ProblemStatus>;

/** A running mesh. */
export const MeshStatus = z.object({
  name: z.string(),
  version: z.string(),
  pid: z.number().int(),
  mode: z.enum(["root", "rootless"]),
  startedAt: z.string(),
  state: z.string(),
  manifests: z.array(z.string()),
  /** Every pod that should run is ready. */
  settled: z.boolean(),
  pods: z.array(PodStatus),
  problems: z.array(ProblemStatus),
});
export type MeshStatus = z.infer<typeof MeshStatus>;

/** What can be done to a pod: `kill` ends it without a word and starts it again after a while. */
export const PodAct = z.discriminatedUnion("act", [
  z.strictObject({ act: z.literal("kill"), downMs: z.number().int().min(0).max(3_600_000) }),
  z.strictObject({ act: z.literal("halt") }),
  z.strictObject({ act: z.literal("resume") }),
  z.strictObject({ act: z.literal("freeze") }),
  z.strictObject({ act: z.literal("thaw") }),
]);
export type PodAct = z.infer<typeof PodAct>;

/** A command beside a pod's containers. */
export const ExecRequest = z.strictObject({
  command: z.array(z.string()).min(1),
  container: z.string().optional(),
  timeoutMs: z.number().int().min(1).max(600_000).default(30_000),
});

/** What came of it. */
export const ExecResult = z.object({ code: z.number().int(), stdout: z.string(), stderr: z.string() });
export type ExecResult = z.infer<typeof ExecResult>;

/** What a proxy said. */
export const ProxyWord = z.object({ text: z.string() });

/** A refusal. */
export const ControlRefusal = z.object({ error: z.string() });
