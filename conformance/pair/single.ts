/** A pair that is only one proxy in plain text on this machine: holds the harness itself against other proxies. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { JUDGE } from "../http1-corpus/suite.ts";
import type { Tools } from "../tools.ts";
import { BackendPort, Place, type Pair } from "./pair.ts";

const START_MS_MAX = 10_000;

/** The proxy's own ports, one for each of the backend's: `offset` above it. */
export async function startSingle(tools: Tools, offset: number): Promise<Pair> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-single-"));
  const [agent, recorder] = [join(dir, "agent.sock"), join(dir, "recorder.sock")];
  const children: ChildProcess[] = [
    spawn(process.execPath, [join(import.meta.dirname, "agent.ts"), agent], { stdio: "inherit" }),
    spawn(process.execPath, [join(import.meta.dirname, "backend.ts"), recorder, tools.python, JUDGE], {
      stdio: "inherit",
    }),
    spawn(tools.grpcInteropServer, [`--port=${BackendPort.grpc}`], { stdio: "ignore" }),
  ];
  const close = async (): Promise<void> => {
    for (const child of children) child.kill();
    await rm(dir, { recursive: true, force: true });
  };
  const until = Date.now() + START_MS_MAX;
  while (!existsSync(agent) || !existsSync(recorder)) {
    if (Date.now() > until) {
      await close();
      throw new Error("the backend did not start");
    }
    await sleep(50);
  }
  const place = new Place(agent);
  const address = (port: number): { host: string; port: number } => ({
    host: "127.0.0.1",
    port: port + offset,
  });
  return {
    name: `a proxy on ports ${offset} above`,
    client: place,
    bystander: place,
    server: place,
    service: address,
    pod: address,
    recorder,
    close,
  };
}
