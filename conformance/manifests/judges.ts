/**
 * Judges of others over what the command line prints: kubeconform holds it against the API server's own schemas,
 * kube-score and checkov against their opinions of what a workload should be.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { moduleDir } from "@hauberk/cluster/build.ts";
import { z } from "zod";
import type { Case } from "../report.ts";
import { SCHEMA_LOCATION, writeSchemas } from "./schemas.ts";
import { Exceptions, unneeded, verdict, type Finding } from "./verdict.ts";

const run = promisify(execFile);

const PINS = join(import.meta.dirname, "judges");
const BUILD_MS_MAX = 1_800_000;
const JUDGE_MS_MAX = 300_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Kubernetes 1.36 has more than two hundred kinds. */
const KINDS_MIN = 200;

const GO_JUDGES = {
  kubeconform: "github.com/yannh/kubeconform/cmd/kubeconform",
  "kube-score": "github.com/zegl/kube-score/cmd/kube-score",
} as const;

/** What the command line prints for some words. */
export interface Rendering {
  readonly name: string;
  readonly stream: string;
  /** Has objects other than definitions of kinds, which judges of workloads have nothing to say of. */
  readonly hasWorkloads: boolean;
}

interface Judges {
  readonly kubeconform: string;
  readonly kubeScore: string;
  readonly checkov: string;
  /** The folder of schemas. */
  readonly schemas: string;
}

/** Judges all renderings; the last case is about the exceptions themselves. */
export async function judged(renderings: readonly Rendering[], cache: string): Promise<readonly Case[]> {
  const judges = await install(cache);
  const file = join(import.meta.dirname, "exceptions.json");
  const exceptions = Exceptions.parse(JSON.parse(await readFile(file, "utf8")));
  const cases: Case[] = [];
  const all: Finding[] = [];
  for (const { name, stream, hasWorkloads } of renderings) {
    const path = join(cache, "judged.yaml");
    await writeFile(path, stream);
    const found = { kubeconform: await kubeconform(judges, path) };
    const opinions = hasWorkloads
      ? { "kube-score": await kubeScore(judges, path), checkov: await checkov(judges, path) }
      : {};
    for (const [judge, findings] of Object.entries({ ...found, ...opinions })) {
      cases.push(verdict(`${judge} has nothing against ${name}`, findings, exceptions));
      all.push(...findings);
    }
  }
  const superfluous = unneeded(all, exceptions);
  return [
    ...cases,
    {
      name: "every exception is needed",
      outcome: superfluous.length === 0 ? "passed" : "failed",
      ...(superfluous.length === 0 ? {} : { detail: superfluous.join("; ") }),
    },
  ];
}

async function install(cache: string): Promise<Judges> {
  const bin = join(cache, "bin");
  await mkdir(bin, { recursive: true });
  const options = { cwd: PINS, timeout: BUILD_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX };
  for (const [name, source] of Object.entries(GO_JUDGES))
    await run("go", ["build", "-mod=readonly", "-trimpath", "-o", join(bin, name), source], options);
  const schemas = join(cache, "schemas");
  await rm(schemas, { recursive: true, force: true });
  const kubernetes = await moduleDir("k8s.io/kubernetes", { environment: process.env, say: () => undefined });
  const kinds = await writeSchemas(join(kubernetes, "api", "openapi-spec", "v3"), schemas);
  if (kinds < KINDS_MIN) throw new Error(`Kubernetes' module describes ${kinds} kinds only`);
  return {
    kubeconform: join(bin, "kubeconform"),
    kubeScore: join(bin, "kube-score"),
    checkov: await installCheckov(cache, options),
    schemas,
  };
}

async function installCheckov(
  cache: string,
  options: { readonly timeout: number; readonly maxBuffer: number },
): Promise<string> {
  const venv = join(cache, "checkov");
  const pins = join(PINS, "requirements.txt");
  const wanted = await readFile(pins, "utf8");
  const stamp = join(venv, "installed.txt");
  const installed = await readFile(stamp, "utf8").catch(() => "");
  if (installed === wanted) return join(venv, "bin", "checkov");
  await rm(venv, { recursive: true, force: true });
  await run("python3", ["-m", "venv", venv], options);
  const words = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"];
  await run(join(venv, "bin", "python"), ["-m", "pip", ...words, "-r", pins], options);
  await writeFile(stamp, wanted);
  return join(venv, "bin", "checkov");
}

/** What a judge prints; it ends with another code than 0 if it has found something. */
async function told(program: string, args: readonly string[]): Promise<unknown> {
  const printed = await run(program, args, { timeout: JUDGE_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX }).catch(
    (error: unknown) => Failed.parse(error),
  );
  if (printed.stdout === "") throw new Error(`${program} printed nothing: ${printed.stderr}`);
  return JSON.parse(printed.stdout);
}

const Failed = z.object({ stdout: z.string(), stderr: z.string() });

const Conformance = z.object({
  resources: z.array(z.object({ kind: z.string(), name: z.string(), status: z.string(), msg: z.string() })),
  summary: z.object({ valid: z.number() }),
});

async function kubeconform(judges: Judges, path: string): Promise<readonly Finding[]> {
  const location = join(judges.schemas, SCHEMA_LOCATION);
  const words = ["-strict", "-summary", "-output", "json", "-schema-location", location, path];
  const { resources, summary } = Conformance.parse(await told(judges.kubeconform, words));
  if (resources.length === 0 && summary.valid === 0) throw new Error("kubeconform looked at nothing");
  return resources.map(({ kind, name, status, msg }) => ({
    rule: `kubeconform ${status}: ${msg}`,
    object: `${kind}/${name}`,
  }));
}

/** Grades of kube-score: below this one, a check is critical, which is what it fails for. */
const WARNING = 5;
const Scores = z
  .array(
    z.object({
      type_meta: z.object({ kind: z.string() }),
      object_meta: z.object({ name: z.string() }),
      checks: z.array(
        z.object({
          check: z.object({ id: z.string() }),
          grade: z.number(),
          skipped: z.boolean(),
          comments: z.array(z.object({ summary: z.string() })).nullable(),
        }),
      ),
    }),
  )
  .min(1);

async function kubeScore(judges: Judges, path: string): Promise<readonly Finding[]> {
  const scores = Scores.parse(await told(judges.kubeScore, ["score", "--output-format", "json", path]));
  return scores.flatMap(({ type_meta: type, object_meta: meta, checks }) =>
    checks
      .filter(({ grade, skipped }) => !skipped && grade < WARNING)
      .flatMap(({ check, comments }) =>
        (comments ?? [{ summary: "" }]).map(({ summary }) => ({
          rule: `kube-score ${check.id}: ${summary}`,
          object: `${type.kind}/${meta.name}`,
        })),
      ),
  );
}

const Checks = z.object({
  results: z.object({ failed_checks: z.array(z.object({ check_id: z.string(), resource: z.string() })) }),
  summary: z.object({ passed: z.number().min(1), parsing_errors: z.literal(0) }),
});

async function checkov(judges: Judges, path: string): Promise<readonly Finding[]> {
  const words = ["--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "-o", "json"];
  const { results } = Checks.parse(await told(judges.checkov, ["-f", path, ...words]));
  return results.failed_checks.map(({ check_id: id, resource }) => {
    // KIND.NAMESPACE.NAME, and for pods more.
    const [kind = "", , name = ""] = resource.split(".");
    return { rule: `checkov ${id}`, object: `${kind}/${name}` };
  });
}
