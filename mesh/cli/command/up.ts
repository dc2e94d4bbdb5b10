import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Flags } from "@oclif/core";
import { z } from "zod";
import type { MeshStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import type { Up, UpOptions } from "@hauberk/mesh/standalone/up.ts";
import { MeshCommand, MeshOptions, meshFlags } from "../mesh-command.ts";
import { podTable } from "../pod-table.ts";
import { cliVersion } from "../version.ts";

const POLL_MS = 200;
const Options = z.strictObject({
  name: MeshOptions.name,
  state: MeshOptions.state,
  filename: z.array(z.string().min(1)).min(1),
  foreground: z.boolean(),
  rootless: z.boolean(),
  wait: z.number().int().min(1).max(3_600),
  "log-level": z.string().min(1),
});
type Options = z.infer<typeof Options>;

/** What a mesh in the background tells the command that started it. */
const Message = z.union([
  z.object({ say: z.string() }),
  z.object({ up: z.literal(true) }),
  z.object({ failed: z.string() }),
]);

export class UpCommand extends MeshCommand {
  static override summary = "Start a mesh on this machine from a directory of Kubernetes manifests.";
  static override description =
    "Each pod becomes a network namespace with an address, and its containers' commands become local processes.\n" +
    "Namespaces and pods with the annotation linkerd.io/inject: enabled get a proxy. Changes of the manifests are obeyed at once.";
  static override examples = [
    "<%= config.bin %> up -f demo/manifests",
    "<%= config.bin %> up -f base -f live --foreground",
  ];
  static override flags = {
    filename: Flags.string({
      char: "f",
      summary: "Directory of manifests; may be given again.",
      multiple: true,
      required: true,
    }),
    name: meshFlags.name,
    state: meshFlags.state,
    foreground: Flags.boolean({ summary: "Stay in the terminal; Ctrl-C stops the mesh.", default: false }),
    rootless: Flags.boolean({ summary: "Use a user namespace even as root.", default: false }),
    wait: Flags.integer({ summary: "Seconds to wait until every pod is ready.", default: 120 }),
    "log-level": Flags.string({
      summary: "Log level of the proxies.",
      default: "warn,linkerd=info,hauberk=info",
    }),
  };

  async run(): Promise<void> {
    const options = Options.parse({ ...(await this.parse(UpCommand)).flags });
    if (options.foreground) await this.#here(options);
    else await this.#background(options);
  }

  async #here(options: Options): Promise<void> {
    const { note, up } = await import("@hauberk/mesh/standalone/up.ts");
    const tell = process.send?.bind(process);
    let started: Up | undefined;
    const say = (text: string): void => {
      if (started !== undefined) void note(started.paths, text);
      if (tell !== undefined && process.connected) tell({ say: text });
      else if (tell === undefined) this.logToStderr(text);
    };
    const interrupted = Promise.withResolvers<void>();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        // Nothing to take down yet: what was started hangs on this process.
        if (started === undefined) process.exit(130);
        interrupted.resolve();
      });
    }
    try {
      started = await up(this.#upOptions(options, say));
    } catch (error) {
      if (tell === undefined) throw error;
      tell({ failed: error instanceof Error ? error.message : String(error) });
      process.exitCode = 1;
      process.disconnect?.();
      return;
    }
    if (tell === undefined) {
      await this.#settled(options);
    } else {
      tell({ up: true });
      process.disconnect?.();
    }
    await Promise.race([interrupted.promise, started.asked]);
    say("going down");
    await started.close();
    // Timers of libraries must not hold up the end.
    process.exit(0);
  }

  #upOptions(options: Options, say: (text: string) => void): UpOptions {
    return {
      name: options.name,
      state: this.paths(options).dir,
      manifests: options.filename,
      rootless: options.rootless,
      version: cliVersion(),
      logLevel: options["log-level"],
      proxyEnvironment: {},
      controllerArgs: [],
      viz: [process.execPath, fileURLToPath(import.meta.resolve("@hauberk/viz/main.ts"))],
      environment: process.env,
      say,
    };
  }

  /** The same command in a session of its own; this one reports until the mesh is up. */
  async #background(options: Options): Promise<void> {
    const [program = "", script = "", ...words] = process.argv;
    const child = spawn(program, [...process.execArgv, script, ...words, "--foreground"], {
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    const outcome = Promise.withResolvers<string | undefined>();
    child.on("message", (message) => {
      const parsed = Message.parse(message);
      if ("say" in parsed) this.logToStderr(parsed.say);
      else outcome.resolve("failed" in parsed ? parsed.failed : undefined);
    });
    child.once("exit", (code, signal) =>
      outcome.resolve(`it ended with ${signal ?? String(code)} while starting`),
    );
    const stop = (): void => void child.kill("SIGTERM");
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
    const failure = await outcome.promise;
    if (failure !== undefined) {
      if (child.exitCode === null) await once(child, "exit");
      this.error(failure, { exit: 1 });
    }
    child.unref();
    await this.#settled(options);
  }

  /** Waits for every pod, and shows them. */
  async #settled(options: Options): Promise<void> {
    const client = this.client(this.paths(options));
    const deadline = Date.now() + options.wait * 1_000;
    let status: MeshStatus = await client.status();
    while (!status.settled && Date.now() < deadline) {
      await sleep(POLL_MS);
      status = await client.status();
    }
    for (const { file, line, object, field, message } of status.problems)
      this.warn(
        [`${file}${line > 0 ? `:${line}` : ""}`, object, field, message]
          .filter((part) => part !== "")
          .join(": "),
      );
    this.log(podTable(status.pods));
    const where = options.state === undefined ? `--name ${options.name}` : `--state ${options.state}`;
    const hint = options.name === "default" && options.state === undefined ? "" : ` ${where}`;
    this.logToStderr(
      `\nhauberk stat|edges|check${hint} look at it, hauberk down${hint} stops it; logs are in ${status.state}/pods`,
    );
    if (!status.settled) this.warn(`not every pod is ready after ${options.wait} s`);
  }
}
