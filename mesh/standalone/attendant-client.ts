import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { ServerCertificate } from "./handshake.ts";
import { LineClient } from "./line-client.ts";
import type { ProbeResult } from "./probe.ts";
import type { Sandbox } from "./sandbox.ts";
import type { Zone } from "./services.ts";
import type { Probe } from "./workload.ts";

const Result = z.object({ ok: z.boolean(), detail: z.string() });
const HANDSHAKE_MS_MAX = 3_000;
/** An answer takes as long as the probe may; then it does not come. */
const ANSWER_MARGIN_MS = 2_000;

/** The process that answers pods' DNS queries and probes them. Started again if it ends. */
export class Attendant {
  readonly #sandbox: Sandbox;
  readonly #log: string;
  #lines: LineClient | undefined;
  #zone: Zone | undefined;
  #closed = false;

  constructor(sandbox: Sandbox, log: string) {
    this.#sandbox = sandbox;
    this.#log = log;
  }

  /** Returns when it answers. */
  async start(): Promise<void> {
    await this.#client().greeting();
  }

  async setZone(zone: Zone): Promise<void> {
    this.#zone = zone;
    await this.#client().ask({ op: "zone", ...zone });
  }

  async probe({ action, timeoutMs }: Probe, host: string): Promise<ProbeResult> {
    if (this.#closed) return { ok: false, detail: "the mesh is going down" };
    const late = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => late.reject(new Error("no answer")), timeoutMs + ANSWER_MARGIN_MS);
    try {
      return Result.parse(
        await Promise.race([this.#client().ask({ op: "probe", host, timeoutMs, ...action }), late.promise]),
      );
    } catch (error) {
      return { ok: false, detail: error instanceof Error ? error.message : String(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the proxy at an address shows. */
  async certificate(target: {
    readonly host: string;
    readonly port: number;
    readonly serverName: string;
  }): Promise<ServerCertificate> {
    const question = { op: "certificate", timeoutMs: HANDSHAKE_MS_MAX, ...target };
    return ServerCertificate.parse(await this.#client().ask(question));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#lines?.close(1_000);
  }

  #client(): LineClient {
    if (this.#lines !== undefined && !this.#lines.ended) return this.#lines;
    const script = fileURLToPath(new URL("attendant.ts", import.meta.url));
    const [program, words] = this.#sandbox.inside({ net: this.#sandbox.bridge }, [
      process.execPath,
      script,
      this.#sandbox.address,
    ]);
    const log = openSync(this.#log, "a", 0o600);
    try {
      const child = spawn(program, [...words], { stdio: ["pipe", "pipe", log], detached: true });
      const lines = new LineClient("the attendant", child);
      this.#lines = lines;
      if (this.#zone !== undefined) lines.ask({ op: "zone", ...this.#zone }).catch(() => undefined);
      return lines;
    } finally {
      closeSync(log);
    }
  }
}
