/** ML-KEM-768 as the proxies have it: asked over a pipe, one line a question, one line an answer. */

import { execFile, spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const run = promisify(execFile);
const PROXY = join(import.meta.dirname, "..", "..", "proxy");

/** The build may have to compile the module first. */
const BUILD_MS_MAX = 900_000;

/** A running question-and-answer program. */
export type ProxyKem = {
  /** What the library is, in its own words. */
  readonly version: string;
  /** The answer's fields, or `undefined` if the module refused. */
  ask(operation: string, ...input: readonly Uint8Array[]): Promise<readonly Uint8Array[] | undefined>;
  close(): Promise<void>;
};

/** Starts the program: the one named by `HAUBERK_MLKEM_KAT`, or the example of `proxy/tls`, built first. */
export async function openProxyKem(): Promise<ProxyKem> {
  const child = spawn(process.env["HAUBERK_MLKEM_KAT"] ?? (await build()), [], { stdio: "pipe" });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const question = async (line: string): Promise<string> => {
    child.stdin.write(`${line}\n`);
    const answer = await lines.next();
    if (answer.done === true) throw new Error("the program ended without an answer");
    return answer.value;
  };
  return {
    version: await question("version"),
    async ask(operation, ...input) {
      const written = input.map((bytes) => Buffer.from(bytes).toString("hex") || "-");
      const [verdict, ...output] = (await question([operation, ...written].join(" "))).split(" ");
      if (verdict === "refused") return undefined;
      if (verdict !== "ok") throw new Error(`${operation}: ${verdict ?? ""} ${output.join(" ")}`);
      return output.map((field) => new Uint8Array(Buffer.from(field, "hex")));
    },
    close: () => end(child),
  };
}

async function build(): Promise<string> {
  const args = ["build", "--locked", "-p", "hauberk-tls", "--example", "mlkem_kat", "--message-format=json"];
  const { stdout } = await run("cargo", args, {
    cwd: PROXY,
    maxBuffer: 64 * 1024 * 1024,
    timeout: BUILD_MS_MAX,
  });
  const [path] = stdout
    .split("\n")
    .flatMap((line) => /"executable":"([^"]*mlkem_kat)"/.exec(line)?.slice(1) ?? []);
  if (path === undefined) throw new Error("cargo built no program");
  return path;
}

async function end(child: ChildProcessWithoutNullStreams): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once("exit", () => resolve());
  child.stdin.end();
  await promise;
}
