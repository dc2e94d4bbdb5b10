/** A report as OSCAL assessment results, held against the official schema and given to compliance-trestle. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Ajv } from "ajv";
import { fullFormats } from "ajv-formats/dist/formats.js";
import { z } from "zod";
import { hauberk } from "../pair/mesh.ts";
import type { Case, SuiteResult } from "../report.ts";

const run = promisify(execFile);
const CACHE = join(import.meta.dirname, "..", "..", ".cache", "conformance", "oscal");
const INSTALL_MS_MAX = 600_000;
const COMMAND_MS_MAX = 120_000;
/** The official schemas lie in this library (OSCAL 1.1.3). */
const SCHEMAS = "dev.metaschema.oscal:liboscal-java:5.2.0";
const SCHEMA = "schema/json/oscal-ar_schema.json";

interface Judges {
  readonly schema: string;
  readonly trestle: string;
}

/** Installs both judges from pinned packages. */
async function install(): Promise<Judges> {
  await mkdir(CACHE, { recursive: true });
  const schema = join(CACHE, SCHEMA);
  if (!existsSync(schema)) {
    const to = `-DoutputDirectory=${CACHE}`;
    await run("mvn", ["-q", "-B", "dependency:copy", `-Dartifact=${SCHEMAS}`, to], {
      timeout: INSTALL_MS_MAX,
    });
    const jar = join(CACHE, `${SCHEMAS.split(":").slice(1).join("-")}.jar`);
    await run("python3", ["-m", "zipfile", "-e", jar, CACHE], { timeout: COMMAND_MS_MAX });
  }
  const bin = join(CACHE, "venv", "bin");
  const trestle = join(bin, "trestle");
  if (!existsSync(trestle)) {
    await run("python3", ["-m", "venv", join(CACHE, "venv")], { timeout: COMMAND_MS_MAX });
    const pins = join(import.meta.dirname, "requirements.txt");
    await run(join(bin, "python"), ["-m", "pip", "--quiet", "install", "--no-deps", "-r", pins], {
      timeout: INSTALL_MS_MAX,
    });
  }
  return { schema, trestle };
}

/** What the official schema says; empty: it is valid. */
async function bySchema(schema: string, text: string): Promise<string> {
  const ajv = new Ajv({ strict: false, formats: fullFormats });
  // The schema has definitions of a keyword that later drafts renamed.
  ajv.removeKeyword("id");
  const validate = ajv.compile(
    z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(schema, "utf8"))),
  );
  return validate(JSON.parse(text)) ? "" : ajv.errorsText(validate.errors);
}

/** What compliance-trestle says; empty: it is valid. */
async function byTrestle(trestle: string, text: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "hb-oscal-"));
  const options = { cwd: dir, timeout: COMMAND_MS_MAX };
  const file = `${dir}.json`;
  try {
    await writeFile(file, text);
    await run(trestle, ["init", "--local"], options);
    await run(trestle, ["import", "-f", file, "-o", "results"], options);
    const { stdout } = await run(trestle, ["validate", "-t", "assessment-results", "-n", "results"], options);
    return /^VALID: /m.test(stdout) ? "" : stdout;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await rm(dir, { recursive: true, force: true });
    await rm(file, { force: true });
  }
}

const AssessmentResults = z.looseObject({
  "assessment-results": z.looseObject({
    results: z.array(z.looseObject({ findings: z.array(z.looseObject({})) })),
  }),
});

/** The same document with a finding that lacks its target, which both must refuse. */
function spoilt(text: string): string {
  const document = AssessmentResults.parse(JSON.parse(text));
  for (const result of document["assessment-results"].results) {
    const [first] = result.findings;
    if (first !== undefined) delete first["target"];
  }
  return JSON.stringify(document);
}

async function report(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "hb-oscal-report-"));
  try {
    const file = join(dir, "results.json");
    const evidence = join(import.meta.dirname, "evidence.json");
    await hauberk(["compliance", "report", "--evidence", evidence, "--format", "oscal", "-o", file]);
    return await readFile(file, "utf8");
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const held = (name: string, problem: string): Case => ({
  name,
  outcome: problem === "" ? "holds" : "failed",
  detail: problem.slice(0, 500),
});
const refused = (name: string, problem: string): Case => ({
  name,
  outcome: problem === "" ? "failed" : "holds",
});

/** Both judges, with a report and with one that is spoilt. */
export async function oscal(): Promise<SuiteResult> {
  const { schema, trestle } = await install();
  const text = await report();
  const cases = [
    held("the official schema takes the report", await bySchema(schema, text)),
    held("compliance-trestle takes the report", await byTrestle(trestle, text)),
    refused("the official schema refuses a finding without a target", await bySchema(schema, spoilt(text))),
    refused("compliance-trestle refuses it, too", await byTrestle(trestle, spoilt(text))),
  ];
  return { suite: "oscal", usual: () => "holds", never: [], least: 4, cases };
}
