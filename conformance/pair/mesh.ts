/** A real pair: a mesh on this machine, started as a user would, with the suites' programs in its pods. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { JUDGE } from "../http1-corpus/suite.ts";
import type { Tools } from "../tools.ts";
import { pairObjects, SERVER } from "./manifests.ts";
import { Place, type Address, type MeshedPeer, type Pair } from "./pair.ts";

const HAUBERK = join(import.meta.dirname, "..", "..", "mesh", "cli", "bin", "hauberk.ts");
const CLUSTER_DOMAIN = "cluster.local";
const CONTROL_PLANE_NAMESPACE = "linkerd";
/** Ports of every proxy. */
const INBOUND_PORT = 4143;
const ADMIN_PORT = 4191;
const UP_S_MAX = 90;
const COMMAND_MS_MAX = 180_000;
const SOCKETS_MS_MAX = 20_000;

/** Starts the pair; needs the built proxies and the right to make namespaces. */
export async function startMesh(tools: Tools): Promise<Pair> {
  const dir = await mkdtemp(join(tmpdir(), "hb-conf-"));
  const state = join(dir, "state");
  const sockets = {
    client: join(dir, "client.sock"),
    bystander: join(dir, "bystander.sock"),
    server: join(dir, "server.sock"),
    recorder: join(dir, "recorder.sock"),
  };
  const close = async (): Promise<void> => {
    await hauberk(["down", "--state", state]).catch(() => undefined);
    await rm(dir, { recursive: true, force: true });
  };
  const objects = pairObjects({
    node: process.execPath,
    agent: join(import.meta.dirname, "agent.ts"),
    backend: join(import.meta.dirname, "backend.ts"),
    python: tools.python,
    judge: JUDGE,
    grpcServer: tools.grpcInteropServer,
    sockets,
  });
  await mkdir(join(dir, "manifests"));
  // JSON is YAML.
  await writeFile(
    join(dir, "manifests", "pair.yaml"),
    objects.map((one) => JSON.stringify(one)).join("\n---\n"),
  );
  try {
    await hauberk(["up", "-f", join(dir, "manifests"), "--state", state, "--wait", String(UP_S_MAX)]);
    await appear(Object.values(sockets));
    return await assemble(state, sockets, close);
  } catch (error) {
    await close();
    throw error;
  }
}

type Sockets = Readonly<Record<"client" | "bystander" | "server" | "recorder", string>>;

function service(port: number): Address {
  return { host: `server.${SERVER}.svc.${CLUSTER_DOMAIN}`, port };
}

function pod(port: number): Address {
  return { host: `server-pods.${SERVER}.svc.${CLUSTER_DOMAIN}`, port };
}

async function assemble(state: string, sockets: Sockets, close: () => Promise<void>): Promise<Pair> {
  const bystander = new Place(sockets.bystander);
  return {
    name: "a mesh on this machine",
    client: new Place(sockets.client),
    bystander,
    server: new Place(sockets.server),
    service,
    pod,
    recorder: sockets.recorder,
    meshed: await peer(state, pod(INBOUND_PORT)),
    serverProxy: () => startTime(bystander, pod(ADMIN_PORT)),
    close,
  };
}

async function peer(state: string, inbound: Address): Promise<MeshedPeer> {
  const issuer = join(state, "identity", "issuer");
  const read = (name: string): Promise<string> => readFile(join(issuer, name), "utf8");
  return {
    inbound,
    identity: `${SERVER}.${SERVER}.serviceaccount.identity.${CONTROL_PLANE_NAMESPACE}.${CLUSTER_DOMAIN}`,
    trustAnchorsPem: await read("ca-bundle.crt"),
    issuer: { certificate: await read("crt.pem"), privateKey: await read("key.pem") },
    trustDomain: CLUSTER_DOMAIN,
    controlPlaneNamespace: CONTROL_PLANE_NAMESPACE,
  };
}

/** When the proxy's process began: another one began at another time. */
async function startTime(from: Place, admin: Address): Promise<string> {
  const socket = await from.dial(admin);
  socket.write(`GET /metrics HTTP/1.1\r\nHost: ${admin.host}\r\nConnection: close\r\n\r\n`);
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(z.instanceof(Buffer).parse(part));
  const [, value] = /^process_start_time_seconds (\S+)$/m.exec(Buffer.concat(parts).toString("utf8")) ?? [];
  if (value === undefined) throw new Error("the proxy does not say when it started");
  return value;
}

/** Waits until every pod's agent listens. */
export async function appear(paths: readonly string[]): Promise<void> {
  const until = Date.now() + SOCKETS_MS_MAX;
  for (let missing = paths; missing.length > 0; missing = missing.filter((path) => !existsSync(path))) {
    if (Date.now() > until) throw new Error(`the pods did not start: ${missing.join(", ")} do not appear`);
    await sleep(100);
  }
}

/** Runs the command line as a user would; its words go to the terminal. */
export async function hauberk(words: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [HAUBERK, ...words], {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: COMMAND_MS_MAX,
  });
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.once("error", () => resolve(null));
  child.once("exit", (code) => resolve(code));
  const code = await promise;
  if (code !== 0) throw new Error(`hauberk ${words[0] ?? ""} ended with ${code ?? "a signal"}`);
}
