/**
 * Debian's programs that a node needs. They are the system's, or unpacked from the system's own packages below the
 * cache: nothing is installed.
 */
import { execFile } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const FETCH_MS_MAX = 300_000;

/** Each program with the packages that carry it and the libraries that a small system lacks. */
const PACKAGES = {
  runc: ["runc", "libseccomp2"],
  nft: [
    "nftables",
    "libnftables1",
    "libnftnl11",
    "libxtables12",
    "libjansson4",
    "libedit2",
    "libbsd0",
    "libmd0",
  ],
  ip: ["iproute2", "libbpf0", "libbpf1", "libelf1", "libmnl0", "libcap2", "libxtables12"],
} as const;

/** Where administrators' programs are, whether or not the user's path has them. */
const SYSTEM = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

export interface SystemTools {
  /** The full path of runc. */
  readonly runc: string;
  /** The environment in which all of them are found. */
  readonly environment: NodeJS.ProcessEnv;
}

/** Finds them, and fetches those that are missing. */
export async function systemTools(
  cache: string,
  environment: NodeJS.ProcessEnv,
  say: (line: string) => void,
): Promise<SystemTools> {
  const path = (environment["PATH"] ?? "").split(delimiter);
  const own = [...path, ...SYSTEM];
  const wanted = Object.entries(PACKAGES).filter(([program]) => find(program, own) === undefined);
  const root = join(cache, "debian");
  if (wanted.length > 0)
    await unpack(
      wanted.flatMap(([, packages]) => packages),
      root,
      say,
    );
  const unpacked =
    wanted.length === 0 ? [] : ["usr/sbin", "usr/bin", "sbin", "bin"].map((dir) => join(root, dir));
  const dirs = [...own, ...unpacked];
  const runc = find("runc", dirs);
  const lacking = Object.keys(PACKAGES).filter((program) => find(program, dirs) === undefined);
  if (runc === undefined || lacking.length > 0)
    throw new Error(`no ${lacking.join(", ")}: apt-get install runc nftables iproute2`);
  const libraries = wanted.length === 0 ? {} : { LD_LIBRARY_PATH: (await libraryDirs(root)).join(delimiter) };
  return { runc, environment: { ...environment, ...libraries, PATH: dirs.join(delimiter) } };
}

async function unpack(packages: readonly string[], root: string, say: (line: string) => void): Promise<void> {
  const done = join(root, "packages");
  const listed = [...new Set(packages)].join("\n");
  if (existsSync(done)) return;
  say(`fetching Debian's ${[...new Set(packages)].join(", ")}`);
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  // A release names some libraries otherwise; those that it lacks are the system's or not needed.
  const script =
    'apt-get update -qq; for name in "$@"; do apt-get download -qq "$name" || true; done; for file in *.deb; do dpkg -x "$file" .; done';
  await run("sh", ["-c", script, "sh", ...new Set(packages)], { cwd: root, timeout: FETCH_MS_MAX });
  await writeFile(done, listed);
}

async function libraryDirs(root: string): Promise<readonly string[]> {
  const dirs: string[] = [];
  for (const dir of [join(root, "usr", "lib"), join(root, "lib")]) {
    if (!existsSync(dir)) continue;
    dirs.push(
      dir,
      ...(await readdir(dir)).filter((name) => name.endsWith("-linux-gnu")).map((name) => join(dir, name)),
    );
  }
  return dirs;
}

function find(program: string, dirs: readonly string[]): string | undefined {
  return dirs.map((dir) => join(dir, program)).find((file) => isProgram(file));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
