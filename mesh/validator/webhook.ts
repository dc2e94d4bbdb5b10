/**
 * The validating webhooks `linkerd-policy-validator` and `linkerd-sp-validator`: reviews in, verdicts out.
 *
 * What was admitted once stays as it is: an update that leaves the object's spec alone (labels, finalizers, an
 * owner that goes) is never refused, nor is one of an object that is being deleted.
 */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { AdmissionRequest, Verdict } from "../admission/review.ts";
import type { Handler } from "../admission/server.ts";
import type { InboundContext } from "../policy/authz.ts";
import { POLICY_VALIDATOR, PROFILE_VALIDATOR } from "../policy/registration.ts";
import { parseObject } from "../source/manifests/parse.ts";
import { sentence, validate } from "./validate.ts";

/** Most findings of one refusal; the rest is counted. */
const FINDINGS_MAX = 10;

const Head = z.looseObject({
  metadata: z.looseObject({
    name: z.string().nullish(),
    generateName: z.string().nullish(),
    deletionTimestamp: z.string().nullish(),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  spec: z.unknown(),
});

/** The object with the name and namespace that it is going to have. */
function named({ object, name, namespace }: AdmissionRequest, head: z.infer<typeof Head>): unknown {
  if (typeof object !== "object" || object === null) return object;
  const { metadata } = head;
  const generated = metadata.generateName ? `${metadata.generateName}new` : undefined;
  const known = metadata.name ?? (name === "" ? generated : name);
  return { ...object, metadata: { namespace, ...metadata, name: known } };
}

function isUntouched(request: AdmissionRequest, head: z.infer<typeof Head>): boolean {
  if (request.operation !== "UPDATE") return false;
  if (typeof head.metadata.deletionTimestamp === "string") return true;
  const old = Head.safeParse(request.oldObject);
  if (!old.success) return false;
  return (
    isDeepStrictEqual(old.data.spec, head.spec) &&
    isDeepStrictEqual(ownAnnotations(old.data), ownAnnotations(head))
  );
}

/** Annotations that mean something to the mesh; others may come and go. */
function ownAnnotations({ metadata }: z.infer<typeof Head>): Readonly<Record<string, string>> {
  const own = Object.entries(metadata.annotations ?? {}).filter(([name]) =>
    /^([a-z]+\.)*(linkerd|hauberk)\.io\//.test(name),
  );
  return Object.fromEntries(own);
}

/** What becomes of a review; its object is judged beside what the cluster holds. Pure. */
export function judge(request: AdmissionRequest, context: InboundContext): Verdict {
  if (request.operation === "DELETE" || request.operation === "CONNECT") return { type: "allow" };
  if (request.subResource !== "") return { type: "allow" };
  const head = Head.safeParse(request.object);
  if (!head.success) return { type: "deny", reason: "metadata: is required" };
  const parsed = parseObject(named(request, head.data));
  const findings = parsed.ok
    ? validate(parsed.object, context)
    : parsed.issues.map((issue) => ({ severity: "error" as const, ...issue }));
  const errors = findings.filter(({ severity }) => severity === "error").map(sentence);
  const warnings = findings.filter(({ severity }) => severity === "warning").map(sentence);
  if (errors.length === 0) return { type: "allow", warnings };
  if (isUntouched(request, head.data)) return { type: "allow", warnings: [...errors, ...warnings] };
  const rest = errors.length - FINDINGS_MAX;
  const told = errors.slice(0, FINDINGS_MAX).join("; ");
  return { type: "deny", reason: rest > 0 ? `${told}; and ${rest} more` : told, warnings };
}

/**
 * The handler of both webhooks, by path, for `serveAdmission`: what is judged depends on the object alone. `context` is
 * asked anew for each review: it gives the cluster as it is now.
 */
export function validatorHandlers(context: () => InboundContext): ReadonlyMap<string, Handler> {
  const handler: Handler = (request) => judge(request, context());
  return new Map([POLICY_VALIDATOR, PROFILE_VALIDATOR].map(({ path }) => [path, handler]));
}
