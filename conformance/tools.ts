/** The tools of the suites, installed from pinned packages into the cache; nothing of them is committed. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const PINS = join(import.meta.dirname, "tools");
const CACHE = join(import.meta.dirname, "..", ".cache", "conformance");

/** A first build of the gRPC programs takes minutes on two cores. */
const INSTALL_MS_MAX = 1_800_000;

/** Go programs: the file name we give them, and the package they are built of. */
const GO_PROGRAMS = {
  h2spec: "github.com/summerwind/h2spec/cmd/h2spec",
  h2specd: "github.com/summerwind/h2spec/cmd/h2specd",
  "grpc-interop-client": "google.golang.org/grpc/interop/client",
  "grpc-interop-server": "google.golang.org/grpc/interop/server",
} as const;

/** Where the tools are. */
export interface Tools {
  readonly h2spec: string;
  readonly h2specd: string;
  readonly grpcInteropClient: string;
  readonly grpcInteropServer: string;
  /** A Python with h11 and the messages of OpenTelemetry. */
  readonly python: string;
  /** gunicorn's raw requests: `valid/` and `invalid/`. */
  readonly corpus: string;
}

/** Says what is being done, since some of it takes minutes. */
export type Progress = (step: string) => void;

/** Installs what is missing or was installed from other pins. */
export async function installTools(progress: Progress): Promise<Tools> {
  await mkdir(join(CACHE, "bin"), { recursive: true });
  const bin = (name: string): string => join(CACHE, "bin", name);
  await once("go", pins("go.mod", "go.sum"), async () => {
    for (const [name, source] of Object.entries(GO_PROGRAMS)) {
      progress(`building ${name}`);
      await command("go", ["build", "-mod=readonly", "-trimpath", "-o", bin(name), source]);
    }
  });
  const python = await installPython(progress);
  const corpus = join(CACHE, "corpus");
  await once("corpus", pins("corpus.txt"), async () => {
    progress("fetching gunicorn's requests");
    await fetchCorpus(python, corpus);
  });
  return {
    h2spec: bin("h2spec"),
    h2specd: bin("h2specd"),
    grpcInteropClient: bin("grpc-interop-client"),
    grpcInteropServer: bin("grpc-interop-server"),
    python,
    corpus,
  };
}

/** The Python alone, which takes seconds. */
export async function installPython(progress: Progress): Promise<string> {
  await mkdir(CACHE, { recursive: true });
  const venv = join(CACHE, "venv");
  const python = join(venv, "bin", "python");
  await once("python", pins("requirements.txt"), async () => {
    progress("installing h11 and opentelemetry-proto");
    await rm(venv, { recursive: true, force: true });
    await command("python3", ["-m", "venv", venv]);
    await pip(python, ["install", "--no-deps", "-r", "requirements.txt"]);
  });
  return python;
}

async function fetchCorpus(python: string, corpus: string): Promise<void> {
  const scratch = join(CACHE, "sdist");
  await rm(scratch, { recursive: true, force: true });
  await rm(corpus, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  await pip(python, ["download", "--no-deps", "--no-binary", ":all:", "-d", scratch, "-r", "corpus.txt"]);
  const [archive] = readdirSync(scratch).filter((name) => name.endsWith(".tar.gz"));
  if (archive === undefined) throw new Error("no archive of gunicorn was fetched");
  await command("tar", [
    "-xzf",
    join(scratch, archive),
    "-C",
    scratch,
    "--strip-components=2",
    "--wildcards",
    "*/tests/requests",
  ]);
  await rename(join(scratch, "requests"), corpus);
}

async function pip(python: string, args: readonly string[]): Promise<void> {
  await command(python, ["-m", "pip", "--quiet", "--disable-pip-version-check", ...args]);
}

async function command(program: string, args: readonly string[]): Promise<void> {
  await run(program, args, { cwd: PINS, timeout: INSTALL_MS_MAX, maxBuffer: 16 * 1024 * 1024 });
}

/** Does a step unless it was done with the same pins. */
async function once(name: string, digest: string, install: () => Promise<void>): Promise<void> {
  const stamp = join(CACHE, `${name}.stamp`);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  await install();
  await writeFile(stamp, digest);
}

function pins(...names: readonly string[]): string {
  const hash = createHash("sha256");
  for (const name of names) hash.update(readFileSync(join(PINS, name)));
  return hash.digest("hex");
}
