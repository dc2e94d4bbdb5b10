/** A cluster for suites, with Hauberk's images in it and a shell that has `hauberk` and `kubectl` on its path. */
import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ECHO_PART, GATEWAY_API_PART, moduleDir, NODE_PART } from "@hauberk/cluster/build.ts";
import {
  BIN,
  buildHere,
  CACHE,
  downHere,
  IMAGES,
  kubeconfigOf,
  loadHere,
  TREE,
  upHere,
  type Say,
} from "@hauberk/cluster/here.ts";
import { echoImage, writeArchive } from "@hauberk/cluster/images.ts";
import { nodePathsOf, type Place } from "@hauberk/cluster/place.ts";
import { builtProxy, writeProduct } from "@hauberk/cluster/product.ts";

/** The image that serves, asks and loads. */
export const ECHO_IMAGE = "hauberk.test/echo:1";

/** A command that takes longer hangs: the longest of them wait two minutes for something themselves. */
const COMMAND_MS_MAX = 300_000;
const OUTPUT_CHARS_MAX = 4_000_000;

/** Builds everything that suites on a cluster run. */
export async function prepare(say: Say): Promise<void> {
  for (const part of [NODE_PART, ECHO_PART, GATEWAY_API_PART]) await buildHere(part, say);
}

/** An object of Kubernetes. */
export type KubeObject = Readonly<Record<string, unknown>>;

/** What came of a command. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface WorldWish {
  readonly name: string;
  readonly number: number;
  readonly nodes: number;
  /** Other names under which the echo image is loaded. */
  readonly echoNames: readonly string[];
}

export class World {
  readonly place: Place;
  readonly #dir: string;
  readonly #say: Say;

  private constructor(place: Place, dir: string, say: Say) {
    this.place = place;
    this.#dir = dir;
    this.#say = say;
  }

  /** Brings up a cluster and loads it; what is needed is built first. */
  static async start({ echoNames, ...wish }: WorldWish, say: Say): Promise<World> {
    await buildHere(ECHO_PART, say);
    await mkdir(IMAGES, { recursive: true });
    await writeArchive(await echoImage(BIN), [ECHO_IMAGE, ...echoNames], join(IMAGES, "echo.tar"));
    const proxy = join(process.env["HAUBERK_BIN_DIR"] ?? join(builtProxy(TREE), ".."), "hauberk-proxy");
    await writeProduct({ root: TREE, proxy, images: IMAGES, cache: CACHE });
    const place = await upHere({ ...wish, extent: "full" }, say);
    await loadHere(place, () => undefined);
    const dir = await mkdtemp(join(tmpdir(), "hb-kube-"));
    const script = `#!/bin/sh\nexec '${process.execPath}' '${join(TREE, "mesh/cli/bin/hauberk.ts")}' "$@"\n`;
    await writeFile(join(dir, "hauberk"), script);
    await chmod(join(dir, "hauberk"), 0o755);
    await symlink(join(BIN, "kubernode"), join(dir, "kubectl"));
    return new World(place, dir, say);
  }

  /** Ends the cluster, unless it is to be looked at. */
  async close(): Promise<void> {
    if (process.env["HAUBERK_KEEP_CLUSTER"] === undefined) await downHere(this.place, this.#say);
    await rm(this.#dir, { recursive: true, force: true });
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      KUBECONFIG: kubeconfigOf(this.place),
      PATH: `${this.#dir}${delimiter}${process.env["PATH"] ?? ""}`,
    };
  }

  /** Runs a line as a user types it; a pipe fails with its first command that does. */
  shell(line: string): Promise<Ran> {
    return this.#run("bash", ["-o", "pipefail", "-c", line]);
  }

  /** Runs kubectl. */
  kubectl(words: readonly string[], input?: string): Promise<Ran> {
    return this.#run(join(BIN, "kubectl"), words, input);
  }

  /** Runs kubectl and gives its output. @throws with its words if it fails. */
  async ask(words: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(words, input);
    if (code !== 0) throw new Error(`kubectl ${words.join(" ")}: ${stderr.trim() || stdout.trim()}`);
    return stdout.trim();
  }

  /** Applies objects. */
  async apply(...objects: readonly KubeObject[]): Promise<void> {
    const text = objects.map((object) => JSON.stringify(object)).join("\n---\n");
    await this.ask(["apply", "-f", "-"], text);
  }

  /** Waits for a rollout. */
  async rolledOut(namespace: string, what: string, seconds = 120): Promise<void> {
    await this.ask(["-n", namespace, "rollout", "status", what, `--timeout=${seconds}s`]);
  }

  /** Gives the proxy's image another version on every node, and says which. */
  async retagProxy(version: string): Promise<string> {
    const { stdout } = await this.shell("hauberk version --client --short");
    for (const node of this.place.nodes) {
      const name = "docker.io/hauberk/proxy";
      const words = [
        "--address",
        nodePathsOf(node).socket,
        "--namespace",
        "k8s.io",
        "images",
        "tag",
        "--force",
      ];
      const ran = await this.#run(join(BIN, "ctr"), [
        ...words,
        `${name}:${stdout.trim()}`,
        `${name}:${version}`,
      ]);
      if (ran.code !== 0) throw new Error(`the image was not tagged: ${ran.stderr}`);
    }
    return version;
  }

  /** Applies the Gateway API's resources of the version that the suite is of. */
  async applyGatewayApi(): Promise<void> {
    const dir = await moduleDir("sigs.k8s.io/gateway-api", { environment: process.env, say: this.#say });
    const folder = join(dir, "config", "crd", "standard");
    const files = (await readdir(folder)).filter(
      (file) => file.endsWith(".yaml") && !file.startsWith("kust"),
    );
    const words = files.flatMap((file) => ["-f", join(folder, file)]);
    await this.ask(["apply", "--server-side", "--force-conflicts", ...words]);
  }

  async #run(program: string, words: readonly string[], input?: string): Promise<Ran> {
    const child = spawn(program, words, {
      env: this.environment,
      stdio: ["pipe", "pipe", "pipe"],
      timeout: COMMAND_MS_MAX,
    });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        output[name] = (output[name] + text).slice(-OUTPUT_CHARS_MAX);
      });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
    child.stdin.on("error", () => undefined);
    child.stdin.end(input ?? "");
    return { code: await promise, ...output };
  }
}

/** The image names that manifests below a module's folders give. */
export async function imagesNamedIn(dir: string, pattern: RegExp): Promise<readonly string[]> {
  const files = (await readdir(dir, { recursive: true })).filter((file) => file.endsWith(".yaml"));
  const texts = await Promise.all(files.map((file) => readFile(join(dir, file), "utf8")));
  return [...new Set(texts.flatMap((text) => [...text.matchAll(pattern)].map((match) => match[1] ?? "")))];
}

/** Waits until `condition` gives a value. @throws with `what` if it does not within `msMax`. */
export async function eventually<T>(
  what: string,
  condition: () => Promise<T | undefined>,
  msMax = 60_000,
): Promise<T> {
  const end = performance.now() + msMax;
  for (;;) {
    const value = await condition();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`not within ${msMax} ms: ${what}`);
    await sleep(300);
  }
}
