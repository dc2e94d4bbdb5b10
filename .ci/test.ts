// `npm test`: check, then every test of the Rust workspace, then every TypeScript test, those in network namespaces
// among them. The suites are `npm run conformance`. A skipped test fails unless its reason is on the list; a run that executed nothing fails.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";

import { sources } from "./layers.ts";
import { runCommand } from "./run-command.ts";

const ROOT = join(import.meta.dirname, "..");
/** Longest that one test file may take. */
const FILE_MS_MAX = 300_000;

interface Tally {
  passed: number;
  failed: number;
  readonly problems: string[];
}

async function rust(): Promise<Tally> {
  const { code, output } = await runCommand("cargo", ["test", "--workspace", "--locked"], {
    cwd: join(ROOT, "proxy"),
  });
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
  const files = [".ci", "crypto", "mesh", "demo", "cluster", "conformance", "release", "sbom"]
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
  stream.once("end", () => resolve());
  stream.resume();
  await promise;
  if (tally.passed === 0) tally.problems.push("no TypeScript test ran");
  return tally;
}

const began = performance.now();
const say = (what: string, { passed, failed, problems }: Tally): void => {
  console.log(
    `${failed + problems.length === 0 ? "√" : "×"} ${what}: ${passed} passed, ${failed} failed (${Math.round((performance.now() - began) / 1000)} s since the start)`,
  );
  for (const problem of problems) console.log(`  × ${problem}`);
};

const check = await runCommand(process.execPath, [join(import.meta.dirname, "check.ts")], {
  cwd: ROOT,
  live: true,
});
console.log("· Rust tests: compiling and running ...");
const ofRust = await rust();
say("Rust tests", ofRust);
console.log("· TypeScript tests, those in network namespaces among them ...");
const ofTypeScript = await typescript();
say("TypeScript tests", ofTypeScript);
const gates = check.code === 0 ? 0 : 1;
const problems = ofRust.problems.length + ofTypeScript.problems.length + gates;
console.log(
  `${ofRust.passed + ofTypeScript.passed} passed, ${ofRust.failed + ofTypeScript.failed + problems} failed`,
);
process.exitCode = problems + ofRust.failed + ofTypeScript.failed === 0 ? 0 : 1;
