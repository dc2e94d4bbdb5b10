/** Pods through `hauberk-sandbox`: the line protocol, and command lines that enter a pod. */

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { z } from "zod";

const Ready = z.object({
  ready: z.object({ mode: z.enum(["root", "rootless"]), user: z.string().nullable(), net: z.string() }),
});
const Answer = z.object({
  id: z.number(),
  ok: z.record(z.string(), z.unknown()).optional(),
  error: z.string().optional(),
});

/** A pod: a network namespace with its address. */
export type Pod = { readonly name: string; readonly net: string; readonly ipv4: string };

/** A command line: program and arguments. */
export type Command = readonly [string, ...string[]];

/** The running sandbox. */
export class Sandbox {
  readonly #binary: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #input: NodeJS.WritableStream;
  #asked = 0;

  private constructor(
    binary: string,
    child: ChildProcess,
    lines: AsyncIterator<string>,
    input: NodeJS.WritableStream,
  ) {
    this.#binary = binary;
    this.#child = child;
    this.#lines = lines;
    this.#input = input;
  }

  /** Starts as root: the peers are known by their user, and a rootless sandbox has one user only. */
  static async start(binary: string): Promise<Sandbox> {
    // In a group of its own: an interrupt at the terminal is for us, and we close its input.
    const child = spawn(binary, ["serve"], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const sandbox = new Sandbox(binary, child, lines, child.stdin);
    const { ready } = Ready.parse(JSON.parse(await sandbox.#line()));
    if (ready.mode !== "root") {
      await sandbox.stop();
      throw new Error("the benchmark needs root: its peers are exempt from redirection by their user");
    }
    return sandbox;
  }

  async #line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error("the sandbox ended");
    return next.value;
  }

  async #ask(wish: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> {
    this.#asked += 1;
    this.#input.write(`${JSON.stringify({ id: this.#asked, ...wish })}\n`);
    const answer = Answer.parse(JSON.parse(await this.#line()));
    if (answer.ok === undefined) throw new Error(`sandbox: ${answer.error ?? "no answer"}`);
    return answer.ok;
  }

  async addPod(name: string, ipv4: string): Promise<Pod> {
    const made = await this.#ask({ op: "add-pod", name, ipv4 });
    return { name, ipv4, net: z.string().parse(made["net"]) };
  }

  /** The command line that runs `command` in `pod`, as `uid` where given, without any capability. */
  inside(pod: Pod, command: Command, uid?: number): Command {
    const user = uid === undefined ? [] : ["--uid", String(uid)];
    return [this.#binary, "exec", "--net", pod.net, ...user, "--", ...command];
  }

  /** The command line that sets or removes the redirection of `pod`. */
  redirection(pod: Pod, flags: readonly string[]): Command {
    return [this.#binary, "init", "--net", pod.net, "--", ...flags];
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#input.end();
    await ended;
  }
}
