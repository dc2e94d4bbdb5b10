/** Test cases of policy: documents of kind PolicyTest, run against a world. Pure. */
import { z } from "zod";
import { parseIp } from "@hauberk/mesh/model/address.ts";
import type { InboundContext } from "@hauberk/mesh/policy/authz.ts";
import { describeVerdict } from "@hauberk/mesh/policy/edges.ts";
import { ask, type Answer, type Asker, type Question } from "@hauberk/mesh/policy/question.ts";
import { describeGround, type Verdict } from "@hauberk/mesh/policy/verdict.ts";
import { fieldPath, type ManifestDocument } from "@hauberk/mesh/source/manifests/document.ts";
import { askedOf, kindOf } from "./words.ts";

/** Cases of one document; a file may hold many documents. */
const CASES_MAX = 10_000;

const Name = z.string().min(1).max(253);

const From = z
  .strictObject({
    serviceAccount: Name.optional(),
    namespace: Name.optional(),
    identity: Name.optional(),
    unmeshed: z.literal(true).optional(),
    ip: z.string().optional(),
  })
  .superRefine(({ serviceAccount, identity, unmeshed, ip }, context) => {
    const given = [serviceAccount, identity, unmeshed].filter((one) => one !== undefined);
    if (given.length !== 1)
      context.addIssue({
        code: "custom",
        message: "exactly one of serviceAccount, identity and unmeshed is required",
      });
    if (ip !== undefined && parseIp(ip) === undefined)
      context.addIssue({ code: "custom", path: ["ip"], message: `${JSON.stringify(ip)} is no address` });
  });

const Case = z.strictObject({
  name: z.string().min(1).max(500),
  from: From,
  to: z.strictObject({
    kind: z
      .string()
      .refine((word) => kindOf(word) !== undefined, "is no kind of workload, Service or Server"),
    name: Name,
    namespace: Name.optional(),
    port: z.union([z.number().int().min(1).max(65_535), Name]),
  }),
  request: z
    .strictObject({
      method: z.string().optional(),
      path: z.string().startsWith("/").optional(),
      host: z.string().optional(),
      headers: z.record(z.string(), z.string()).optional(),
    })
    .optional(),
  /** Ask about bytes that are no request. */
  bytes: z.literal(true).optional(),
  expect: z.enum(["allow", "deny", "audit"]),
  /** `Kind namespace/name` of what lets the client in. */
  by: z.string().optional(),
  /** `Kind namespace/name` of tokens and services that are content with the request. */
  provided: z.array(z.string()).optional(),
});

const Body = z.object({ spec: z.strictObject({ cases: z.array(Case).min(1).max(CASES_MAX) }) });

/** What is expected, and where it was written. */
export interface PolicyCase {
  readonly suite: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly question: Question;
  readonly expect: "allow" | "deny" | "audit";
  readonly by: string | undefined;
  readonly provided: readonly string[];
}

/** A case and how it went. */
export interface CaseResult {
  readonly suite: string;
  readonly name: string;
  readonly file: string;
  readonly line: number;
  /** Absent: it passed. */
  readonly failure: string | undefined;
}

function askerOf({ serviceAccount, namespace, identity }: z.infer<typeof From>, own: string): Asker {
  if (serviceAccount !== undefined)
    return { type: "account", account: { namespace: namespace ?? own, name: serviceAccount } };
  return identity === undefined ? { type: "unmeshed" } : { type: "identity", identity };
}

/** The cases of all PolicyTest documents; a mistake is named with file, line and field. */
export function readCases(documents: readonly ManifestDocument[]): {
  readonly cases: readonly PolicyCase[];
  readonly problems: readonly string[];
} {
  const cases: PolicyCase[] = [];
  const problems: string[] = [];
  for (const { object, file, lineOf } of documents) {
    if (object.kind !== "PolicyTest" || object.apiVersion !== "policy.hauberk.io/v1alpha1") continue;
    const body = Body.safeParse(object.rest);
    if (!body.success) {
      for (const { path, message } of body.error.issues)
        problems.push(`${file}:${lineOf(path)}: ${fieldPath(path)}: ${message}`);
      continue;
    }
    const { namespace } = object.metadata;
    for (const [at, one] of body.data.spec.cases.entries()) {
      const { name, expect, by, provided = [], from, to, request, bytes } = one;
      const question: Question = {
        from: askerOf(from, namespace),
        ip: from.ip === undefined ? undefined : parseIp(from.ip),
        to: {
          kind: kindOf(to.kind) ?? "Workload",
          namespace: to.namespace ?? namespace,
          name: to.name,
          port: to.port,
        },
        asked: bytes === true ? { type: "bytes" } : askedOf(request ?? {}),
      };
      const line = lineOf(["spec", "cases", at]);
      cases.push({ suite: object.metadata.name, name, file, line, question, expect, by, provided });
    }
  }
  return { cases, problems };
}

function outcomeOf(verdict: Verdict, provided: readonly string[]): "allow" | "deny" | "audit" {
  if (verdict.type === "denied") return "deny";
  if (verdict.isAudited) return "audit";
  return verdict.provided.every((one) => provided.includes(one)) ? "allow" : "deny";
}

function failureOf({ expect, by, provided }: PolicyCase, answers: readonly Answer[]): string | undefined {
  if (answers.length === 0) return "the destination has no such port, is not there, or the client cannot be";
  for (const { workload, port, verdict } of answers) {
    const where = `${workload.namespace}/${workload.name}:${port}`;
    const outcome = outcomeOf(verdict, provided);
    if (outcome !== expect) return `expected ${expect}, and ${where} says ${describeVerdict(verdict)}`;
    if (by === undefined || verdict.type === "denied") continue;
    const ground = describeGround(verdict.by);
    if (ground !== by) return `expected to be let in by ${by}, and it is ${ground} at ${where}`;
  }
  return undefined;
}

/** Runs cases: each workload behind a destination must do what is expected. */
export function runCases(cases: readonly PolicyCase[], context: InboundContext): readonly CaseResult[] {
  return cases.map((one) => {
    const { suite, name, file, line, question } = one;
    return { suite, name, file, line, failure: failureOf(one, ask(question, context)) };
  });
}

function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
  };
  return text.replaceAll(/[&<>"']/g, (character) => names[character] ?? "").replaceAll(/[^\P{Cc}\t\n]/gu, "");
}

/** The results as JUnit's XML, which every CI reads. */
export function junit(results: readonly CaseResult[]): string {
  const suites = [...Map.groupBy(results, ({ suite }) => suite)].map(([suite, cases]) => {
    const failures = cases.filter(({ failure }) => failure !== undefined).length;
    const lines = cases.map(({ name, file, line, failure }) => {
      const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" file="${escaped(file)}" line="${line}"`;
      if (failure === undefined) return `${head}/>`;
      return `${head}>\n      <failure message="${escaped(failure)}"/>\n    </testcase>`;
    });
    return [
      `  <testsuite name="${escaped(suite)}" tests="${cases.length}" failures="${failures}">`,
      ...lines,
      "  </testsuite>",
    ].join("\n");
  });
  return ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", ...suites, "</testsuites>"].join("\n");
}
