/** The stock tools, built from pinned modules and packages into the cache; nothing of them is committed. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const TREE = join(import.meta.dirname, "..", "..");
const PINS = join(import.meta.dirname, "tools");
const CACHE = join(TREE, ".cache", "conformance", "supply-chain");

/** cosign alone takes four minutes of a processor, and more where others work. */
const BUILD_MS_MAX = 3_600_000;
const COMMAND_MS_MAX = 300_000;
/** A release fetches, builds twice and compresses. */
export const RELEASE_MS_MAX = 1_800_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Programs by the module that pins them. slsa-verifier needs older libraries than cosign, and the services of a Sigstore are
 * kept apart from those who verify what they made.
 */
const GO_PROGRAMS = {
  verifiers: {
    registry: "github.com/distribution/distribution/v3/cmd/registry",
    crane: "github.com/google/go-containerregistry/cmd/crane",
    cosign: "github.com/sigstore/cosign/v3/cmd/cosign",
    "tuf-client": "github.com/theupdateframework/go-tuf/v2/examples/cli/tuf-client",
  },
  slsa: { "slsa-verifier": "github.com/slsa-framework/slsa-verifier/v2/cli/slsa-verifier" },
  sigstore: {
    fulcio: "github.com/sigstore/fulcio",
    rekor: "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
    "timestamp-server": "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server",
  },
} as const;
type GoModule = keyof typeof GO_PROGRAMS;

/** Where a program of the suite is. */
export const program = (name: string): string => join(CACHE, name);
/** A Python with sigstore and tuf. */
export const python = join(CACHE, "venv", "bin", "python");

export type Say = (line: string) => void;

function pins(...names: readonly string[]): string {
  const hash = createHash("sha256");
  for (const name of names) hash.update(readFileSync(join(PINS, name)));
  return hash.digest("hex");
}

async function once(name: string, digest: string, install: () => Promise<void>): Promise<void> {
  const stamp = join(CACHE, `${name}.stamp`);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  await install();
  await writeFile(stamp, digest);
}

async function build(module: GoModule, say: Say): Promise<void> {
  await once(module, pins(`${module}/go.mod`, `${module}/go.sum`), async () => {
    for (const [name, source] of Object.entries(GO_PROGRAMS[module])) {
      say(`  building ${name}`);
      await run("go", ["build", "-mod=readonly", "-trimpath", "-o", program(name), source], {
        cwd: join(PINS, module),
        timeout: BUILD_MS_MAX,
        maxBuffer: OUTPUT_BYTES_MAX,
      });
    }
  });
}

/** Builds and installs what is missing or is of other pins. */
export async function installPrograms(say: Say): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  for (const module of ["verifiers", "sigstore", "slsa"] as const) await build(module, say);
  await once("python", pins("requirements.txt"), async () => {
    say("  installing sigstore-python and python-tuf");
    await rm(join(CACHE, "venv"), { recursive: true, force: true });
    await run("python3", ["-m", "venv", join(CACHE, "venv")], { timeout: COMMAND_MS_MAX });
    const requirements = join(PINS, "requirements.txt");
    await run(
      python,
      ["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "-r", requirements],
      { timeout: BUILD_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX },
    );
  });
}

/** What a command said, and how it ended. */
export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run. */
export interface Asking {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly msMax?: number;
}

/** Runs a command to its end; a code other than 0 is an answer, too. */
export async function ask(
  command: string,
  args: readonly string[],
  { cwd, env, msMax = COMMAND_MS_MAX }: Asking = {},
): Promise<Said> {
  const options = {
    timeout: msMax,
    maxBuffer: OUTPUT_BYTES_MAX,
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
  };
  return new Promise((done, failed) => {
    execFile(command, [...args], options, (error, stdout, stderr) => {
      if (error === null) done({ code: 0, stdout, stderr });
      else if (typeof error.code === "number") done({ code: error.code, stdout, stderr });
      else failed(error);
    });
  });
}

/** The output of a command that must succeed. @throws with what it said if it does not. */
export async function must(command: string, args: readonly string[], options: Asking = {}): Promise<string> {
  const { code, stdout, stderr } = await ask(command, args, options);
  if (code === 0) return stdout;
  throw new Error(`${command} ${args.join(" ")}: ${code}: ${(stderr + stdout).trim().slice(-2_000)}`);
}

/** A port of the loopback that nobody has. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Starts a service that runs until it is stopped; what it says goes into a file. */
export async function start(
  command: string,
  args: readonly string[],
  { log }: { readonly log: string },
): Promise<ChildProcess> {
  const file = await open(log, "w");
  const child = spawn(command, args, { stdio: ["ignore", file.fd, file.fd] });
  await file.close();
  return child;
}

/** Ends a service and waits for its end. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGKILL");
  await ended;
}
