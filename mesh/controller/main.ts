/** The control plane's process: `node mesh/controller/main.ts --manifests DIR`. */
import { ConfigError, parseConfig } from "./config.ts";
import { startController, type Controller } from "./controller.ts";
import { jsonLog } from "./log.ts";

/** Exit codes: wrong settings cannot be cured by a restart, the rest may. */
const EXIT_SETTINGS = 2;
const EXIT_FAILED = 1;

/** Over how long proxies are told to go elsewhere. */
const SPREAD_MS = 500;

const log = jsonLog(process.stdout);

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${explain(error.cause)}`;
}

async function run(): Promise<number> {
  const asked = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, asked.resolve);
  let controller: Controller;
  try {
    controller = await startController(parseConfig(process.argv.slice(2), process.env), log);
  } catch (error) {
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
