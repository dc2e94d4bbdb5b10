// The doorway of every npm script: brings a fresh checkout to the state a command needs, then runs the command
// under the pinned Node. This one file is plain JavaScript because it must run on the machine's own Node (20 or
// newer), which does not strip types; everything behind it is TypeScript.
//
//   node setup.mjs                     install and build everything that `npm run demo` needs
//   node setup.mjs --run NAME -- ...   the same, as far as NAME needs it, then run NAME
//   node setup.mjs --packages          only install packages and generate wire types
// @ts-check
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(fileURLToPath(import.meta.url));
const CACHE = join(ROOT, ".cache");
/** A long step says that it is still at work this often. */
const PROGRESS_MS = 10_000;

/**
 * What can be run, and what must be there first.
 * @type {Readonly<Record<string, { file?: string, args?: readonly string[], needs: readonly ("packages" | "protos" | "proxy" | "go")[] }>>}
 */
const COMMANDS = {
  demo: { file: "demo/main.ts", needs: ["packages", "protos", "proxy"] },
  hauberk: { file: "mesh/cli/bin/hauberk.ts", needs: ["packages", "protos", "proxy"] },
  check: { file: ".ci/check.ts", needs: ["packages", "protos"] },
  // It builds the proxy itself, beside its checks.
  test: { file: ".ci/test.ts", needs: ["packages", "protos", "go"] },
  packages: { needs: ["packages", "protos"] },
  // The suites while the proxy is still being built: for `--after`.
  suites: { file: "conformance/run.ts", needs: ["packages", "protos", "go"] },
  bench: { file: "conformance/bench/main.ts", needs: ["packages", "protos", "proxy"] },
  release: { file: "release/main.ts", needs: ["packages"] },
  cluster: { file: "cluster/main.ts", needs: ["packages", "go"] },
  conformance: { file: "conformance/run.ts", needs: ["packages", "protos", "proxy", "go"] },
};

/** @param {string} text */
const say = (text) => process.stderr.write(`${text}\n`);

/** @param {string} command @returns {boolean} */
function onPath(command) {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .some((dir) => dir !== "" && existsSync(join(dir, command)));
}

/**
 * Everything that is missing, in one list, so that a user mends it in one go.
 * @param {readonly string[]} needs
 * @returns {string[]}
 */
function missing(needs) {
  const problems = [];
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (process.platform !== "linux")
    problems.push(`Linux: this is ${process.platform}; the data plane redirects with nf_tables`);
  if (major < 20) problems.push(`Node 20 or newer: this is ${process.versions.node}`);
  if (!onPath("npm")) problems.push("npm: it comes with Node");
  if (needs.includes("proxy") || needs.includes("protos")) {
    if (!onPath("cargo")) problems.push("cargo (Rust 1.95 or newer): see rustup.rs");
    if (!onPath("cc")) problems.push("a C compiler: apt-get install build-essential");
  }
  if (needs.includes("go") && !onPath("go"))
    problems.push("go (1.26 or newer): the conformance suites are Go programs");
  if (needs.includes("go") && !onPath("python3"))
    problems.push("python3 with venv: apt-get install python3 python3-venv");
  return problems;
}

/** @param {readonly string[]} files @returns {string} */
function digest(files) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(file).update("\0").update(readFileSync(file)).update("\0");
  return hash.digest("hex");
}

/** @param {string} dir @param {(name: string) => boolean} keep @returns {string[]} */
function filesBelow(dir, keep) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(dir, entry.name);
      if (entry.isDirectory())
        return entry.name === "target" || entry.name === "gen" ? [] : filesBelow(path, keep);
      return keep(entry.name) ? [path] : [];
    })
    .toSorted();
}

/**
 * Runs a step and shows its output only if it fails.
 * @param {string} title @param {string} command @param {readonly string[]} args @param {Record<string, string>} [env]
 */
async function step(title, command, args, env = {}) {
  const began = Date.now();
  const seconds = () => `${Math.round((Date.now() - began) / 1000)} s`;
  say(`· ${title} ...`);
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let last = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
      output = (output + text).slice(-200_000);
      last = text.trim().split("\n").at(-1)?.trim().slice(0, 90) || last;
    });
  }
  const timer = setInterval(() => say(`  still at it after ${seconds()}: ${last}`), PROGRESS_MS);
  const code = await new Promise((resolve) => {
    child.once("error", (error) => {
      output += `\n${error.message}`;
      resolve(127);
    });
    child.once("close", resolve);
  });
  clearInterval(timer);
  if (code !== 0) {
    say(output);
    throw new Error(`${title}: ${command} ended with ${code}`);
  }
  say(`  done in ${seconds()}`);
}

/** @param {string} name @param {string} value @returns {boolean} */
const isStamped = (name, value) =>
  existsSync(join(CACHE, name)) && readFileSync(join(CACHE, name), "utf8") === value;
/** @param {string} name @param {string} value */
function stamp(name, value) {
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(join(CACHE, name), value);
}

/** The pinned Node, from the package for this machine's architecture. */
const pinnedNode = () => join(ROOT, "node_modules", `node-linux-${process.arch}`, "bin", "node");
const environment = () => ({
  PATH: `${join(ROOT, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`,
});

async function installPackages() {
  const wanted = digest([join(ROOT, "package-lock.json")]);
  if (isStamped("packages", wanted) && existsSync(pinnedNode())) return;
  await step("installing npm packages", "npm", [
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ]);
  if (!existsSync(pinnedNode()))
    throw new Error(`no Node is packaged for ${process.arch}: x64 and arm64 are supported`);
  stamp("packages", wanted);
}

async function generateProtos() {
  const inputs = [
    join(ROOT, "proxy", "Cargo.lock"),
    ...filesBelow(join(ROOT, "mesh", "api"), (name) => /\.(proto|ts)$/.test(name)),
  ];
  const wanted = digest([...inputs, join(ROOT, "package-lock.json")]);
  if (isStamped("protos", wanted) && existsSync(join(ROOT, "mesh", "api", "gen"))) return;
  await step("fetching Rust crates", "cargo", ["fetch", "--locked", "--manifest-path", "proxy/Cargo.toml"]);
  await step(
    "generating wire types from the pinned crate",
    pinnedNode(),
    ["mesh/api/generate.ts"],
    environment(),
  );
  stamp("protos", wanted);
}

async function buildProxy() {
  const sources = [
    ...filesBelow(join(ROOT, "proxy"), (name) => /\.(rs|toml|lock|ld)$/.test(name)),
    // The proxy's extension messages are compiled from the same files as the control plane's.
    ...filesBelow(join(ROOT, "mesh", "api", "proto"), (name) => name.endsWith(".proto")),
  ];
  const wanted = digest(sources);
  const binary = join(ROOT, "proxy", "target", "bin", "hauberk-proxy");
  if (isStamped("proxy", wanted) && existsSync(binary)) return;
  await step(
    "building hauberk-proxy and hauberk-sandbox (some minutes the first time)",
    "cargo",
    [
      "build",
      "--release",
      "--locked",
      // Cargo looks for its settings from the working directory, not from the manifest.
      "--config",
      "proxy/.cargo/config.toml",
      "--manifest-path",
      "proxy/Cargo.toml",
      "-p",
      "hauberk-proxy",
      "-p",
      "hauberk-sandbox",
    ],
    { CARGO_TARGET_DIR: join(ROOT, "proxy", "target"), CARGO_TERM_PROGRESS_WHEN: "never" },
  );
  await step("placing the binaries", pinnedNode(), [".ci/place.ts"]);
  if (statSync(binary).size === 0) throw new Error("the build left no binary");
  stamp("proxy", wanted);
}

async function main() {
  const words = process.argv.slice(2);
  const name = words[0] === "--run" ? (words[1] ?? "") : undefined;
  const command = COMMANDS[name ?? (words[0] === "--packages" ? "packages" : "demo")];
  if (command === undefined)
    throw new Error(`no command "${name}": one of ${Object.keys(COMMANDS).join(", ")}`);
  const problems = missing(command.needs);
  if (problems.length > 0) {
    throw new Error(`this machine lacks:\n${problems.map((problem) => `  × ${problem}`).join("\n")}`);
  }
  await installPackages();
  if (command.needs.includes("protos")) await generateProtos();
  if (command.needs.includes("proxy")) await buildProxy();
  if (name === undefined || command.file === undefined) {
    say(command.needs.includes("proxy") ? "√ ready: npm run demo" : "√ packages and wire types are there");
    return;
  }
  const separator = words.indexOf("--");
  const rest = separator < 0 ? [] : words.slice(separator + 1);
  const child = spawn(pinnedNode(), [join(ROOT, command.file), ...(command.args ?? []), ...rest], {
    cwd: process.env["INIT_CWD"] ?? process.cwd(),
    env: { ...process.env, ...environment() },
    stdio: "inherit",
  });
  // The terminal's Ctrl-C reaches the child as well; it decides when this process ends.
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => signal !== "SIGINT" && child.kill(signal));
  }
  child.once("error", (error) => {
    say(error.message);
    process.exitCode = 1;
  });
  child.once("close", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 130;
  });
}

main().catch((error) => {
  say(`× ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
