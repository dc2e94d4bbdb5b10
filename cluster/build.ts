/** The programs of a cluster, built from pinned Go modules once for each state of their sources. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { arch } from "node:os";
import { join } from "node:path";
import { z } from "zod";

const SOURCE = join(import.meta.dirname, "go");

/** A cold build takes a quarter of an hour of two processors; on a busy machine far more. */
const BUILD_MS_MAX = 90 * 60_000;
const PROGRESS_MS = 30_000;

/** File systems that no node of ours stores images on. */
const TAGS = "no_btrfs,no_zfs,no_devmapper,no_aufs,no_blockfile,no_erofs";

/** Names by which the one binary is called. */
const NAMES = [
  "containerd",
  "coredns",
  "ctr",
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-proxy",
  "kube-scheduler",
  "kubectl",
  "kubelet",
] as const;

const CNI = "github.com/containernetworking/plugins/plugins";

/** What is built at once: the programs of a node, or a suite that runs on one. */
export interface Part {
  readonly name: string;
  /** Packages, by the name of the program; a test's program is built of its package. */
  readonly programs: Readonly<Record<string, { readonly of: string; readonly isTest?: true }>>;
}

export const NODE_PART: Part = {
  name: "node",
  programs: {
    pause: { of: "./cmd/pause" },
    bridge: { of: `${CNI}/main/bridge` },
    "host-local": { of: `${CNI}/ipam/host-local` },
    "containerd-shim-runc-v2": { of: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2" },
    kubernode: { of: "." },
  },
};

/** What answers and what asks in suites, by the name that it is called by. */
export const ECHO_PART: Part = { name: "echo", programs: { echo: { of: "./cmd/echo" } } };

/** The Gateway API's conformance suite. */
export const GATEWAY_API_PART: Part = {
  name: "gateway-api",
  programs: { "gateway-api.test": { of: "sigs.k8s.io/gateway-api/conformance", isTest: true } },
};

export interface Build {
  /** The folder of programs. */
  readonly bin: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
}

const Module = z.object({ Version: z.string(), Dir: z.string().optional() });

/** Builds what is missing or of other sources. */
export async function build(part: Part, { bin, environment, say }: Build): Promise<void> {
  await mkdir(bin, { recursive: true });
  const wanted = await digestOf(part);
  const stamp = join(bin, `${part.name}.stamp`);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  await rm(stamp, { force: true });
  const began = performance.now();
  const go = { environment: goEnvironment(environment), say };
  const versions = part === NODE_PART ? await versionFlags(go) : [];
  for (const [name, { of, isTest }] of Object.entries(part.programs)) {
    say(`building ${name}`);
    const what = isTest === true ? ["test", "-c"] : ["build"];
    const flags = ["-trimpath", "-tags", TAGS, "-ldflags", ["-s", "-w", ...versions].join(" ")];
    await command([...what, ...flags, "-o", join(bin, name), of], go);
  }
  if (part === NODE_PART) await linkNames(bin);
  await writeFile(stamp, wanted);
  say(`built in ${Math.round((performance.now() - began) / 1_000)} s`);
}

/** The folder of a module's files, fetched if need be. */
export async function moduleDir(path: string, { environment, say }: Omit<Build, "bin">): Promise<string> {
  const go = { environment: goEnvironment(environment), say };
  const version = await versionOf(path, go);
  const found = Module.parse(
    JSON.parse(await command(["mod", "download", "-json", `${path}@${version}`], go)),
  );
  if (found.Dir === undefined) throw new Error(`${path} was not fetched`);
  return found.Dir;
}

interface Go {
  readonly environment: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
}

/** Static programs of exactly the locked modules, by the Go that is here. */
function goEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...environment, CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOFLAGS: "-mod=readonly -buildvcs=false" };
}

/** Programs that are not told their version call themselves v0.0.0, which clients refuse. */
async function versionFlags(go: Go): Promise<readonly string[]> {
  const kubernetes = await versionOf("k8s.io/kubernetes", go);
  const [major = "", minor = ""] = kubernetes.replace(/^v/, "").split(".");
  return [
    set("k8s.io/component-base/version.gitVersion", kubernetes),
    set("k8s.io/component-base/version.gitMajor", major),
    set("k8s.io/component-base/version.gitMinor", minor),
    set("k8s.io/client-go/pkg/version.gitVersion", kubernetes),
    set(
      "github.com/containerd/containerd/v2/version.Version",
      await versionOf("github.com/containerd/containerd/v2", go),
    ),
  ];
}

/** The linker's flag that sets a string. */
function set(name: string, value: string): string {
  return `-X ${name}=${value}`;
}

async function versionOf(path: string, go: Go): Promise<string> {
  return Module.parse(JSON.parse(await command(["list", "-m", "-json", path], go))).Version;
}

async function linkNames(bin: string): Promise<void> {
  for (const name of NAMES) {
    await rm(join(bin, name), { force: true });
    await symlink("kubernode", join(bin, name));
  }
}

async function digestOf({ name, programs }: Part): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([name, programs, TAGS, arch()]));
  const own = Object.values(programs).filter(({ of }) => of.startsWith("."));
  const folders = await Promise.all(
    own.map(async ({ of }) => ({ of, files: await readdir(join(SOURCE, of)) })),
  );
  const sources = folders.flatMap(({ of, files }) =>
    files.filter((file) => file.endsWith(".go")).map((file) => join(of, file)),
  );
  for (const file of ["go.mod", "go.sum", ...sources.toSorted()])
    hash
      .update(file)
      .update("\0")
      .update(readFileSync(join(SOURCE, file)))
      .update("\0");
  return hash.digest("hex");
}

/** Runs go behind whatever else wants the processors; gives what it printed, and says now and then that it is at work. */
async function command(args: readonly string[], { environment, say }: Go): Promise<string> {
  const child = spawn("nice", ["-n", "15", "go", ...args], {
    cwd: SOURCE,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: BUILD_MS_MAX,
  });
  let output = "";
  let complaints = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr
    .setEncoding("utf8")
    .on("data", (text: string) => (complaints = (complaints + text).slice(-20_000)));
  const began = performance.now();
  const timer = setInterval(
    () => say(`  still at it after ${Math.round((performance.now() - began) / 1_000)} s`),
    PROGRESS_MS,
  );
  try {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
    if ((await promise) !== 0) throw new Error(`go ${args.join(" ")}:\n${complaints}`);
    return output;
  } finally {
    clearInterval(timer);
  }
}
