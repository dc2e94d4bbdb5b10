/** Whether what a statement says is enough; who signed it was checked before. Pure. */
import { z } from "zod";
import type { PredicateName, Statement } from "../attest/statement.ts";
import { refuse, type Expected, type Outcome, type Trust } from "./trust.ts";

const Provenance = z.object({
  buildDefinition: z.object({
    externalParameters: z
      .object({ artifact: z.string().optional(), version: z.string().optional() })
      .default({}),
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
  readonly expected: Expected;
  /** The bundles that are attached beside it, by SHA-256 in hexadecimal. */
  readonly beside: ReadonlySet<string>;
}

function judgeProvenance(predicate: unknown, { trust, expected }: Context): Outcome | undefined {
  const read = Provenance.safeParse(predicate);
  if (!read.success) return refuse("statement-unreadable", z.prettifyError(read.error));
  const { buildDefinition, runDetails } = read.data;
  if (runDetails.builder.id !== trust.builder.id)
    return refuse("builder-wrong", `built by ${runDetails.builder.id}, not by ${trust.builder.id}`);
  const [commit] = buildDefinition.resolvedDependencies.flatMap(({ digest }) => digest["gitCommit"] ?? []);
  if (commit === undefined) return refuse("source-missing", "it names no commit");
  const is: Expected = { ...buildDefinition.externalParameters, commit };
  for (const field of ["artifact", "version", "commit"] as const) {
    if (expected[field] !== undefined && is[field] !== expected[field])
      return refuse(
        "artifact-replayed",
        `it is of ${field} ${is[field] ?? "unknown"}, not ${expected[field]}`,
      );
  }
  return undefined;
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
export function judge(
  demand: PredicateName,
  { predicate }: Statement,
  context: Context,
): Outcome | undefined {
  switch (demand) {
    case "signature":
      return undefined;
    case "provenance":
      return judgeProvenance(predicate, context);
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
