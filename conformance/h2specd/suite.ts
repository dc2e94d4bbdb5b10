/** h2specd against the server's proxy in its role as an HTTP/2 client of the application. */
import { join } from "node:path";
import type { Pair } from "../pair/pair.ts";
import type { SuiteResult } from "../report.ts";
import type { Tools } from "../tools.ts";
import { readOutput } from "./output.ts";

const CASES = 57;
const FROM_PORT = 30_000;
const RUN_MS_MAX = 300_000;

export async function h2specd(pair: Pair, tools: Tools): Promise<SuiteResult> {
  const asked = pair.pod(FROM_PORT);
  const trigger = join(import.meta.dirname, "trigger.ts");
  const command = [process.execPath, trigger, pair.bystander.socket, asked.host, asked.port - FROM_PORT].join(
    " ",
  );
  const args = ["--strict", "-h", "127.0.0.1", "-f", String(FROM_PORT), "-e", command];
  const ran = await pair.server.run(tools.h2specd, args, RUN_MS_MAX);
  const cases = readOutput(ran.stdout);
  if (cases.length === 0)
    throw new Error(`h2specd printed no case: ${ran.stdout} ${ran.stderr} ${ran.reason}`);
  return { suite: "h2specd", usual: () => "passed", never: [], least: CASES, cases };
}
