/**
 * AdmissionReview, version admission.k8s.io/v1: read strictly where we decide by it, and answered. Pure.
 *
 * The form is that of `k8s.io/api/admission/v1` (types.go of Kubernetes 1.36).
 */
import { z } from "zod";

/** What the API server does with the object. */
export const Operation = z.enum(["CREATE", "UPDATE", "DELETE", "CONNECT"]);
export type Operation = z.infer<typeof Operation>;

const Kind = z.object({ group: z.string(), version: z.string(), kind: z.string().min(1) });
const Resource = z.object({ group: z.string(), version: z.string(), resource: z.string().min(1) });

const Request = z.object({
  uid: z.string().min(1).max(253),
  kind: Kind,
  resource: Resource,
  subResource: z.string().default(""),
  name: z.string().default(""),
  namespace: z.string().default(""),
  operation: Operation,
  userInfo: z
    .object({ username: z.string().default(""), groups: z.array(z.string()).default([]) })
    .default({ username: "", groups: [] }),
  // A deletion has no object and a creation no old one; the API server then writes null.
  object: z.unknown().optional(),
  oldObject: z.unknown().optional(),
  dryRun: z.boolean().default(false),
});

const Review = z.object({
  apiVersion: z.literal("admission.k8s.io/v1"),
  kind: z.literal("AdmissionReview"),
  request: Request,
});

/** What is to be admitted. Its objects are whatever the client sent: decode them before use. */
export type AdmissionRequest = Readonly<z.infer<typeof Request>>;

/** One step of a JSON patch (RFC 6902). `test` and `move` are never needed. */
export type PatchStep =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/** What becomes of a request. */
export type Verdict =
  | {
      readonly type: "allow";
      /** Changes to the object; none: it stays as it is. */
      readonly patch?: readonly PatchStep[];
      /** Shown to the user by kubectl. */
      readonly warnings?: readonly string[];
    }
  | { readonly type: "deny"; readonly reason: string; readonly warnings?: readonly string[] };

/** Most warnings of one answer, and most characters of each; the API server cuts at 4096 bytes in all. */
export const WARNINGS_MAX = 16;
export const WARNING_CHARS_MAX = 240;

/** The status that a refusal carries: the object is what is wrong, not the request. */
const FORBIDDEN = 403;

/** A body that is no AdmissionReview, or one of a version that we do not speak. */
export class ReviewError extends Error {
  override readonly name = "ReviewError";
}

/** Reads the body of a webhook's request. */
export function readReview(body: string): AdmissionRequest {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new ReviewError("the body is not JSON", { cause });
  }
  const parsed = Review.safeParse(value);
  if (parsed.success) return parsed.data.request;
  const issue = parsed.error.issues[0];
  throw new ReviewError(
    `not an AdmissionReview: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "wrong"}`,
  );
}

/** The body of the answer to the request of `uid`. */
export function writeReview(uid: string, verdict: Verdict): string {
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid, ...response(verdict), ...warnings(verdict.warnings ?? []) },
  });
}

function response(verdict: Verdict): Readonly<Record<string, unknown>> {
  switch (verdict.type) {
    case "deny":
      return { allowed: false, status: { code: FORBIDDEN, reason: "Forbidden", message: verdict.reason } };
    case "allow": {
      const { patch = [] } = verdict;
      if (patch.length === 0) return { allowed: true };
      const text = Buffer.from(JSON.stringify(patch)).toString("base64");
      return { allowed: true, patchType: "JSONPatch", patch: text };
    }
  }
}

function warnings(texts: readonly string[]): { readonly warnings?: readonly string[] } {
  if (texts.length === 0) return {};
  // The API server drops a warning that has control characters.
  const clean = texts.map((text) => text.replace(/\p{Cc}+/gu, " ").slice(0, WARNING_CHARS_MAX));
  return { warnings: clean.slice(0, WARNINGS_MAX) };
}
