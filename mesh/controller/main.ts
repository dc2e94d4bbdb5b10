/**
 * The control plane's process. In a cluster one image serves every role: `main.ts ROLE [FLAGS]`. Standalone:
 * `main.ts --manifests DIR`, all roles at once.
 */
import { parseArgs } from "node:util";
import { refuseForeign } from "@hauberk/fips-profile/foreign.ts";
import { ROLE_NAMES } from "./access.ts";
import { serveAdmin } from "./admin.ts";
import { approvalOf, withheldPages } from "./approval.ts";
import { ConfigError, Listening, parseConfig } from "./config.ts";
import { startController } from "./controller.ts";
import { jsonLog, logSettings, logTo, type Log } from "./log.ts";
import { STARTS, type RoleContext, type Running } from "./roles.ts";

/** Exit codes: wrong settings cannot be cured by a restart, the rest may. */
const EXIT_SETTINGS = 2;
const EXIT_FAILED = 1;

/** Over how long proxies are told to go elsewhere. */
const SPREAD_MS = 500;

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${explain(error.cause)}`;
}

/** What the command line asks for. */
function start(args: readonly string[], { log, stop }: Pick<RoleContext, "log" | "stop">): Promise<Running> {
  const [first = "", ...rest] = args;
  const role = ROLE_NAMES.find((name) => name === first);
  if (role !== undefined) return STARTS[role](rest, { environment: process.env, log, stop });
  if (first !== "" && !first.startsWith("-"))
    throw new ConfigError(`${first}: is no role; roles are ${ROLE_NAMES.join(", ")}`);
  return startController(parseConfig(args, process.env), log, { stop });
}

/** Every role's flag. */
function adminListen(args: readonly string[]): string {
  const options = { "admin-listen": { type: "string", default: "0.0.0.0:9990" } } as const;
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true }).values[
    "admin-listen"
  ].toString();
}

/** Out of approved mode where it is asked for: the admin address says why, and nothing else is served. */
async function withhold(why: string, log: Log): Promise<Running> {
  log("error", "not in approved mode, and nothing is served", { reason: why });
  const admin = await serveAdmin(withheldPages(why), Listening.parse(adminListen(process.argv.slice(2))));
  return { done: new Promise<void>(() => {}), close: () => admin.close() };
}

async function run(): Promise<number> {
  let log: Log;
  try {
    log = logTo(process.stdout, logSettings(process.env));
  } catch (error) {
    jsonLog(process.stdout)("error", "cannot start", { reason: explain(error) });
    return EXIT_SETTINGS;
  }
  return serve(log);
}

async function serve(log: Log): Promise<number> {
  const approval = approvalOf(process.env);
  if (approval.type === "approved") {
    refuseForeign();
    log("info", "cryptographic module", { module: approval.module, version: approval.version });
  }
  const asked = Promise.withResolvers<NodeJS.Signals>();
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      asked.resolve(signal);
      // What is not up yet waits for nothing any more; what is up is closed in order.
      if (!isUp) stop.abort();
    });
  let isUp = false;
  let controller: Running;
  try {
    controller =
      approval.type === "refused"
        ? await withhold(approval.why, log)
        : await start(process.argv.slice(2), { log, stop });
    isUp = true;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    log("error", "cannot start", { reason: explain(error) });
    return error instanceof ConfigError ? EXIT_SETTINGS : EXIT_FAILED;
  }
  try {
    const signal = await Promise.race([asked.promise, controller.done]);
    log("info", "stopping", { signal: signal ?? "" });
    await controller.close(SPREAD_MS);
    return 0;
  } catch (error) {
    log("error", "failed", { reason: explain(error) });
    return EXIT_FAILED;
  }
}

if (import.meta.main) process.exitCode = await run();
