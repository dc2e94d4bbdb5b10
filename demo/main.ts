// `npm run demo`: a shop on a mesh, what the mesh promises, and what came of each promise.
//
//   --keep    leave it running, for hauberk stat, edges and check
//   --fast    shorter measurements; nothing is left out
//   --name    name of the mesh (demo)
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import { stateDir } from "@hauberk/mesh/standalone/state.ts";
import { UpError, up } from "@hauberk/mesh/standalone/up.ts";
import type { Up } from "@hauberk/mesh/standalone/up.ts";
import { backends } from "./acts/backends.ts";
import { canary } from "./acts/canary.ts";
import { lockdown } from "./acts/lockdown.ts";
import { outage } from "./acts/outage.ts";
import { renewal } from "./acts/renewal.ts";
import { steady } from "./acts/steady.ts";
import { renderSummary, success } from "./promise.ts";
import { Screen } from "./screen.ts";
import { Stage } from "./stage.ts";

/** Proxies ask for a new certificate this long after the last one; a day's would be too long for a demo. */
const REFRESH_S = 20;
/** `--fast` measures for a third of the time. */
const HASTE = 3;
const Options = z.strictObject({
  keep: z.boolean().default(false),
  fast: z.boolean().default(false),
  name: z.string().default("demo"),
});
type Options = z.infer<typeof Options>;

const ROOT = fileURLToPath(new URL(".", import.meta.url));
const screen = new Screen(process.stdout);
const interrupted = new AbortController();

function readOptions(): Options {
  const { values } = parseArgs({
    options: { keep: { type: "boolean" }, fast: { type: "boolean" }, name: { type: "string" } },
  });
  return Options.parse({ ...values });
}

async function start(options: Options): Promise<Up> {
  const viz = fileURLToPath(import.meta.resolve("@hauberk/viz/main.ts"));
  return up({
    name: options.name,
    state: stateDir(options.name, process.env),
    manifests: [join(ROOT, "manifests")],
    rootless: false,
    version: "0.1.0",
    logLevel: "warn,linkerd=info,hauberk=info",
    proxyEnvironment: { LINKERD2_PROXY_IDENTITY_MAX_REFRESH: `${REFRESH_S}s` },
    controllerArgs: [],
    viz: [process.execPath, viz],
    environment: process.env,
    say: (text) => screen.say(text),
  });
}

async function play(stage: Stage, startedMs: number): Promise<void> {
  const acts: Readonly<Record<string, () => Promise<void>>> = {
    "the application runs": () => steady(stage, startedMs),
    "the canary": () => canary(stage),
    "the lock-down": () => lockdown(stage),
    "hurt backends": () => backends(stage),
    "the control plane's outage": () => outage(stage),
    "new certificates": () => renewal(stage, (REFRESH_S + 15) * 1_000),
  };
  for (const [name, act] of Object.entries(acts)) {
    try {
      await act();
    } catch (error) {
      if (interrupted.signal.aborted) throw error;
      // What comes next is still worth seeing.
      stage.promise(name, false, error instanceof Error ? error.message : String(error));
    }
  }
  const all = await stage.seen({ fromMs: startedMs, toMs: Date.now() });
  stage.promise("from beginning to end", all.failed === 0 && all.ok > 0, success(all));
}

async function main(): Promise<number> {
  const options = readOptions();
  const startedMs = Date.now();
  let running: Up | undefined;
  let isKept = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      // Before the mesh stands, everything hangs on this process.
      if (running === undefined) process.exit(130);
      interrupted.abort();
    });
  }
  try {
    screen.say("Starting the mesh: a sandbox, a control plane, the application.");
    running = await start(options);
    const stage = new Stage({
      paths: running.paths,
      source: join(ROOT, "live"),
      screen,
      haste: options.fast ? HASTE : 1,
      signal: interrupted.signal,
    });
    await play(stage, startedMs);
    screen.keep(`\n${renderSummary(stage.kept, (Date.now() - startedMs) / 1_000)}`);
    const passed = stage.kept.every((one) => one.passed);
    if (options.keep) {
      isKept = true;
      screen.say(keepHint(options.name));
      await Promise.race([running.asked, aborted(interrupted.signal)]);
    }
    return passed ? 0 : 1;
  } catch (error) {
    if (interrupted.signal.aborted) return isKept ? 0 : 130;
    screen.say(
      error instanceof UpError ? error.message : String(error instanceof Error ? error.stack : error),
    );
    return 1;
  } finally {
    screen.clear();
    await running?.close();
  }
}

function keepHint(name: string): string {
  return [
    "",
    "It keeps running until Ctrl-C. In another terminal:",
    ...["stat", "stat --by route", "edges", "identity", "check", "down"].map(
      (command) => `  npm run hauberk -- ${command} --name ${name}`,
    ),
  ].join("\n");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

process.exit(await main());
