// The one command that says whether everything is typed, linted and formatted. `--fix` formats first.
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { runCommand } from "./run-command.ts";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules", ".bin");
const fix = process.argv.includes("--fix");

interface Check {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Must occur in the output: a check that looked at nothing is no check. */
  readonly proof?: RegExp;
}

const PROXY = join(ROOT, "proxy");
const FORMATTED = [
  "setup.mjs",
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
];
const CHECKS: readonly Check[] = [
  {
    name: "TypeScript types",
    command: join(BIN, "tsc"),
    args: ["-p", ".", "--listFilesOnly"],
    proof: /mesh\/model\//,
  },
  { name: "TypeScript types hold", command: join(BIN, "tsc"), args: ["-p", "."] },
  {
    name: "TypeScript lints",
    command: join(BIN, "oxlint"),
    args: ["--type-aware", "--deny-warnings", "."],
    proof: /on [1-9]\d+ files/,
  },
  {
    name: "TypeScript format",
    command: join(BIN, "oxfmt"),
    args: [fix ? "--write" : "--check", ...FORMATTED],
  },
  { name: "unused code and dependencies", command: join(BIN, "knip"), args: ["--strict", "--no-progress"] },
  { name: "Rust format", command: "cargo", args: ["fmt", "--all", ...(fix ? [] : ["--check"])], cwd: PROXY },
  {
    name: "Rust lints",
    command: "cargo",
    args: ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    cwd: PROXY,
  },
];

let failed = 0;
for (const { name, command, args, cwd, proof } of CHECKS) {
  const began = performance.now();
  const { code, output } = await runCommand(command, args, { cwd: cwd ?? ROOT });
  const isProven = proof === undefined || proof.test(output);
  const ok = code === 0 && isProven;
  if (!ok) failed += 1;
  console.log(`${ok ? "√" : "×"} ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  if (!isProven) console.log(`  it looked at nothing: no ${String(proof)} in its output`);
  if (!ok) console.log(output.slice(-20_000));
}
if (readdirSync(PROXY).length === 0) failed += 1;
process.exitCode = failed === 0 ? 0 : 1;
