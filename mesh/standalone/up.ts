import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { loadManifests } from "../source/manifests/load.ts";
import { ControlError, MeshClient } from "./control-client.ts";
import { serveControl } from "./control-server.ts";
import { ManifestError, Mesh } from "./mesh.ts";
import type { Problem } from "../source/manifests/document.ts";
import { statePaths } from "./state.ts";
import type { StatePaths } from "./state.ts";

/** What `hauberk up` is asked for. */
export interface UpOptions {
  readonly name: string;
  readonly state: string;
  readonly manifests: readonly string[];
  readonly rootless: boolean;
  readonly version: string;
  readonly logLevel: string;
  readonly proxyEnvironment: Readonly<Record<string, string>>;
  readonly controllerArgs: readonly string[];
  /** Program and arguments of viz, which gets `--objects` and `--socket`. */
  readonly viz: readonly string[] | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly say: (text: string) => void;
}

/** Why a mesh does not come up. */
export class UpError extends Error {
  override readonly name = "UpError";
}

/** A mesh that is up. */
export interface Up {
  readonly mesh: Mesh;
  readonly paths: StatePaths;
  /** Resolves when somebody asked the mesh to go down. */
  readonly asked: Promise<void>;
  /** Takes everything down. May be called more than once. */
  readonly close: () => Promise<void>;
}

/** The sentence for one problem of a manifest. */
export function explainProblem({ file, line, object, field, message }: Problem): string {
  return [`${file}${line > 0 ? `:${line}` : ""}`, object, field, message]
    .filter((part) => part !== "")
    .join(": ");
}

/** Starts a mesh in this process. */
export async function up(options: UpOptions): Promise<Up> {
  const paths = statePaths(resolve(options.state));
  await refuseSecond(paths, options.name);
  const directories = options.manifests.map((dir) => resolve(dir));
  for (const dir of directories)
    if (!existsSync(dir)) throw new UpError(`${dir}: there is no such directory`);
  const manifests = [...directories, paths.live];
  const binaries = findBinaries(options.environment);
  await rm(paths.dir, { recursive: true, force: true });
  await mkdir(paths.live, { recursive: true, mode: 0o700 });
  const asked = Promise.withResolvers<void>();
  let mesh: Mesh;
  try {
    const wishes = { ...options, paths, manifests, binaries, controller: controllerCommand() };
    mesh = await Mesh.start(wishes, await loadManifests(manifests));
  } catch (error) {
    await rm(paths.dir, { recursive: true, force: true });
    if (error instanceof ManifestError)
      throw new UpError(error.problems.map(explainProblem).join("\n"), { cause: error });
    throw error;
  }
  const { name, version } = options;
  const server = await serveControl(paths.upSocket, mesh, {
    name,
    version,
    manifests,
    state: paths.dir,
    stop: () => asked.resolve(),
  });
  const following = mesh.follow();
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    server.close();
    server.closeAllConnections();
    await mesh.close();
    await following.catch(() => undefined);
  };
  return { mesh, paths, asked: asked.promise, close: () => (closing ??= close()) };
}

/** A mesh of this name that runs already, or what a killed one left. */
async function refuseSecond(paths: StatePaths, name: string): Promise<void> {
  if (!existsSync(paths.upSocket)) return;
  try {
    const { pid } = await new MeshClient(paths.upSocket).status();
    throw new UpError(`mesh ${name} is running already (process ${pid}): hauberk down --name ${name}`);
  } catch (error) {
    if (error instanceof ControlError && error.code === "not_running") return;
    throw error;
  }
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

function controllerCommand(): readonly string[] {
  return [process.execPath, join(ROOT, "mesh", "controller", "main.ts")];
}

/** The data plane's binaries: where `HAUBERK_BIN_DIR` says, or where the build puts them. */
export function findBinaries(environment: Readonly<Record<string, string | undefined>>): {
  readonly proxy: string;
  readonly sandbox: string;
} {
  const dir = resolve(environment["HAUBERK_BIN_DIR"] ?? join(ROOT, "proxy", "target", "bin"));
  const found = { proxy: join(dir, "hauberk-proxy"), sandbox: join(dir, "hauberk-sandbox") };
  const missing = Object.values(found).filter((path) => !existsSync(path));
  if (missing.length > 0) throw new UpError(`${missing.join(", ")}: not built yet: npm run setup`);
  return found;
}

/** Keeps a note beside the mesh for whoever looks at its state. */
export async function note(paths: StatePaths, text: string): Promise<void> {
  await writeFile(paths.log, `${new Date().toISOString()} ${text}\n`, { flag: "a", mode: 0o600 });
}
