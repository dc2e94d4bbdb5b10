/** Evidence and the catalogue become statements. Pure. */
import { z } from "zod";
import { runAll } from "../checks/all.ts";
import type { CheckResult, Status } from "../checks/check.ts";
import { FRAMEWORKS, isFramework, type Control, type Framework } from "../catalogue/control.ts";
import { NIST } from "../catalogue/nist.ts";
import { OTHERS } from "../catalogue/others.ts";
import { Source, type Evidence } from "../evidence/evidence.ts";

export const CATALOGUE: readonly Control[] = [...NIST, ...OTHERS];

const StatusForm = z.enum(["satisfied", "not-satisfied", "not-assessable"]);

const CheckForm = z.strictObject({
  id: z.string(),
  title: z.string(),
  status: StatusForm,
  summary: z.string(),
  findings: z.array(z.string()),
  evidence: z.array(Source),
  remedy: z.string(),
});

const StatementForm = z.strictObject({
  framework: z.string().refine(isFramework, "is no framework of this report"),
  control: z.string(),
  topic: z.string(),
  status: StatusForm,
  /** Names of the checks that decided. */
  checks: z.array(z.string()),
  beyond: z.string(),
});

const SystemForm = z.strictObject({
  kind: z.enum(["cluster", "standalone"]),
  name: z.string(),
  namespace: z.string(),
});

/** A report as it is stored. */
export const Report = z.strictObject({
  format: z.literal("hauberk-compliance/v1"),
  at: z.iso.datetime(),
  program: z.string(),
  system: SystemForm,
  /** Digest of the evidence document. */
  evidence: z.string(),
  statements: z.array(StatementForm),
  checks: z.array(CheckForm),
  facts: z.strictObject({
    connections: z.number(),
    postQuantum: z.number(),
    plaintext: z.number(),
    proxies: z.number(),
    approved: z.number(),
    edges: z.array(z.strictObject({ edge: z.string(), group: z.string(), connections: z.number() })),
  }),
});
export type Report = z.infer<typeof Report>;
export type Statement = Report["statements"][number];

/** All checks must be satisfied; one that is not decides, and then one that nothing is known of. */
export function statusOf(statuses: readonly Status[]): Status {
  if (statuses.includes("not-satisfied")) return "not-satisfied";
  return statuses.length === 0 || statuses.includes("not-assessable") ? "not-assessable" : "satisfied";
}

function statementOf(control: Control, results: ReadonlyMap<string, CheckResult>): Statement {
  const { framework, id, topic, checks, beyond } = control;
  const statuses = checks.map((name) => results.get(name)?.status ?? "not-assessable");
  return { framework, control: id, topic, status: statusOf(statuses), checks: [...checks], beyond };
}

const sum = (all: readonly { readonly connections: number }[]) =>
  all.reduce((total, { connections }) => total + connections, 0);

function factsOf({ crypto }: Evidence): Report["facts"] {
  if (!crypto.known)
    return { connections: 0, postQuantum: 0, plaintext: 0, proxies: 0, approved: 0, edges: [] };
  const { edges, plain, proxies } = crypto.value;
  return {
    connections: sum(edges),
    postQuantum: sum(edges.filter(({ group }) => group.includes("MLKEM"))),
    plaintext: sum(plain.filter(({ scope }) => scope === "mesh")),
    proxies: proxies.length,
    approved: proxies.filter(({ module }) => module.mode === "approved").length,
    edges: edges.map(({ client, server, group, connections }) => ({
      edge: `${client === "" ? "(no identity)" : client} → ${server}`,
      group,
      connections,
    })),
  };
}

/** Judges evidence. `frameworks`: which of them the report speaks of. */
export function reportOf(
  evidence: Evidence,
  { digest, frameworks }: { readonly digest: string; readonly frameworks: readonly Framework[] },
): Report {
  const controls = CATALOGUE.filter(({ framework }) => frameworks.includes(framework));
  const wanted = new Set(controls.flatMap(({ checks }) => checks));
  const results = runAll(evidence).filter(({ id }) => wanted.has(id));
  const byId = new Map(results.map((result) => [result.id, result]));
  const { program, version } = evidence.collector;
  return {
    format: "hauberk-compliance/v1",
    at: evidence.at,
    program: `${program} ${version}`,
    system: evidence.system,
    evidence: digest,
    statements: controls.map((control) => statementOf(control, byId)),
    checks: results.map(({ findings, evidence: sources, ...rest }) => ({
      ...rest,
      findings: [...findings],
      evidence: [...sources],
    })),
    facts: factsOf(evidence),
  };
}

/** @throws naming the field that is wrong. */
export function readReport(text: string): Report {
  const parsed = Report.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`report: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** How many statements have each status. */
export function tally(statements: readonly Pick<Statement, "status">[]): Readonly<Record<Status, number>> {
  const of = (status: Status) => statements.filter((one) => one.status === status).length;
  return {
    satisfied: of("satisfied"),
    "not-satisfied": of("not-satisfied"),
    "not-assessable": of("not-assessable"),
  };
}

/** Statements by framework, in the catalogue's order. */
export function byFramework(
  report: Report,
): readonly (readonly [title: string, statements: readonly Statement[]])[] {
  return [...Map.groupBy(report.statements, ({ framework }) => framework)].map(([framework, statements]) => [
    FRAMEWORKS[framework],
    statements,
  ]);
}
