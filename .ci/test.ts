// `npm test`: the proxy's release build beside check and the build of the Rust tests; then, with nothing beside them, the Rust
// tests and every TypeScript test, those in network namespaces among them. The suites are `npm run conformance`. A skipped test fails unless its reason is on the list; a run that executed nothing fails.
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { run } from "node:test";

import { sources } from "./layers.ts";
import { runCommand, type Ended } from "./run-command.ts";

const ROOT = join(import.meta.dirname, "..");
/** Longest that one test file may take. */
const FILE_MS_MAX = 300_000;

/** As many of the slowest files are named. */
const SLOWEST = 8;

interface Tally {
  passed: number;
  failed: number;
  readonly problems: string[];
}

/** All of them, so that one run names every failure. */
const RUST_TESTS = ["test", "--workspace", "--locked", "--no-fail-fast"];

async function rust(): Promise<Tally> {
  const { code, output } = await runCommand("cargo", RUST_TESTS, { cwd: join(ROOT, "proxy") });
  const tally: Tally = { passed: 0, failed: 0, problems: [] };
  for (const match of output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)) {
    tally.passed += Number(match[1]);
    tally.failed += Number(match[2]);
    if (match[3] !== "0") tally.problems.push(`${match[3]} Rust tests are ignored: none may be`);
  }
  if (code !== 0) tally.problems.push(output.slice(-30_000));
  if (tally.passed === 0) tally.problems.push("no Rust test ran");
  return tally;
}

/** Reasons for which a test may be skipped, one a line; `#` starts a comment. */
function allowedSkips(): ReadonlySet<string> {
  const lines = readFileSync(join(import.meta.dirname, "skips.txt"), "utf8").split("\n");
  return new Set(lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")));
}

async function typescript(): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0, problems: [] };
  const skips = allowedSkips();
  const files = [
    ".ci",
    "cluster",
    "conformance",
    "crypto",
    "demo",
    "fips-profile",
    "mesh",
    "policies",
    "release",
    "sbom",
  ]
    .flatMap((folder) => sources(ROOT, folder))
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => join(ROOT, file));
  // One file at a time beside another: the namespace tests share two cores and must not starve each other.
  const stream = run({ files, concurrency: 2, timeout: FILE_MS_MAX });
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.on("test:pass", ({ name, skip, todo, details, file }) => {
    if (details.type === "suite") return;
    const reason = skip ?? todo;
    if (reason === undefined) tally.passed += 1;
    else if (!skips.has(String(reason)))
      tally.problems.push(`${file ?? ""}: "${name}" was skipped: ${String(reason)}`);
  });
  stream.on("test:fail", ({ name, details, file }) => {
    tally.failed += 1;
    const cause = details.error.cause instanceof Error ? details.error.cause : details.error;
    tally.problems.push(`${file ?? ""}: ${name}\n${cause.stack ?? cause.message}`);
  });
  const tookMs = new Map<string, number>();
  stream.on("test:complete", ({ file, nesting, details }) => {
    if (nesting === 0 && file !== undefined) tookMs.set(file, (tookMs.get(file) ?? 0) + details.duration_ms);
  });
  stream.once("end", () => resolve());
  stream.resume();
  await promise;
  if (tally.passed === 0) tally.problems.push("no TypeScript test ran");
  const slowest = [...tookMs].toSorted(([, one], [, other]) => other - one).slice(0, SLOWEST);
  const told = slowest.map(([file, ms]) => `${relative(ROOT, file)} ${(ms / 1_000).toFixed(0)} s`);
  console.log(`  the slowest: ${told.join(", ")}`);
  return tally;
}

const began = performance.now();
const secondsSoFar = (): number => Math.round((performance.now() - began) / 1_000);
const say = (what: string, { passed, failed, problems }: Tally): void => {
  console.log(
    `${failed + problems.length === 0 ? "√" : "×"} ${what}: ${passed} passed, ${failed} failed (${secondsSoFar()} s since the start)`,
  );
  for (const problem of problems) console.log(`  × ${problem}`);
};

/** What compiles: the release build ends on one core, where the checks and the tests' build use the other. */
async function build(): Promise<number> {
  const node = (words: readonly string[]): Promise<Ended> =>
    runCommand(process.execPath, words, { cwd: ROOT, live: true });
  const proxy = node([join(ROOT, "setup.mjs")]);
  const { code } = await node([join(import.meta.dirname, "check.ts")]);
  // What does not compile is told by the run itself.
  await runCommand("cargo", [...RUST_TESTS, "--no-run"], { cwd: join(ROOT, "proxy") });
  return code + (await proxy).code;
}

const gates = (await build()) === 0 ? 0 : 1;
console.log(`· Rust tests (${secondsSoFar()} s since the start) ...`);
const ofRust = await rust();
say("Rust tests", ofRust);
console.log("· TypeScript tests, those in network namespaces among them ...");
const ofTypeScript = await typescript();
say("TypeScript tests", ofTypeScript);
const problems = ofRust.problems.length + ofTypeScript.problems.length + gates;
console.log(
  `${ofRust.passed + ofTypeScript.passed} passed, ${ofRust.failed + ofTypeScript.failed + problems} failed`,
);
process.exitCode = problems + ofRust.failed + ofTypeScript.failed === 0 ? 0 : 1;
