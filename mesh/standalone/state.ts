import { readdirSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** Names of meshes are parts of paths. */
export const MESH_NAME = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;
/** `sun_path` holds 108 bytes, and the longest socket name here is `/viz.sock`. */
const STATE_BYTES_MAX = 96;

/** Where a running mesh keeps what it needs. */
export interface StatePaths {
  readonly dir: string;
  /** The trust anchor, the issuer and the key of join tokens. */
  readonly identity: string;
  /** Manifests that are applied besides the user's for as long as the mesh runs. */
  readonly live: string;
  /** Pod objects, as the control plane reads them. */
  readonly objects: string;
  /** A directory for each pod: logs, token. */
  readonly pods: string;
  /** `resolv.conf` of each namespace. */
  readonly names: string;
  readonly upSocket: string;
  readonly vizSocket: string;
  /** What the runtime itself says. */
  readonly log: string;
}

/** The paths of a mesh in `dir`. */
export function statePaths(dir: string): StatePaths {
  if (Buffer.byteLength(dir) > STATE_BYTES_MAX)
    throw new Error(`${dir} is too long for the path of a socket: ${STATE_BYTES_MAX} bytes at most`);
  return {
    dir,
    identity: join(dir, "identity"),
    live: join(dir, "live"),
    objects: join(dir, "objects"),
    pods: join(dir, "pods"),
    names: join(dir, "names"),
    upSocket: join(dir, "up.sock"),
    vizSocket: join(dir, "viz.sock"),
    log: join(dir, "up.log"),
  };
}

/** The directory that holds a directory for each running mesh of this user. */
export function stateRoot(environment: Readonly<Record<string, string | undefined>>): string {
  const runtime = environment["XDG_RUNTIME_DIR"];
  if (runtime !== undefined && runtime.startsWith("/") && isUsable(runtime)) return join(runtime, "hauberk");
  return join(tmpdir(), `hauberk-${userInfo().uid}`);
}

/** The state directory of the mesh called `name`. */
export function stateDir(name: string, environment: Readonly<Record<string, string | undefined>>): string {
  if (!MESH_NAME.test(name))
    throw new Error(`${name} is no name for a mesh: lower case letters, digits and '-'`);
  return join(stateRoot(environment), name);
}

/** Names of meshes that have a state directory, running or not. */
export function knownMeshes(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  try {
    return readdirSync(stateRoot(environment)).filter((name) => MESH_NAME.test(name));
  } catch {
    return [];
  }
}

function isUsable(dir: string): boolean {
  try {
    return statSync(dir).isDirectory();
  } catch {
    return false;
  }
}
