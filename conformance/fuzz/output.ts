/** What a fuzz run said of itself. Pure. */
import { z } from "zod";

/** What a target did. */
export interface Fuzzed {
  readonly executions: number;
  /** Blocks of code or edges reached. */
  readonly coverage: number;
  /** What broke, if something did: the engine's words. */
  readonly broke: string | undefined;
}

/** libFuzzer's last words: `cov: N`, `stat::number_of_executed_units: N`, and what a crash said. */
export function ofEngine(stderr: string, code: number): Fuzzed {
  const last = (pattern: RegExp): number => Number([...stderr.matchAll(pattern)].at(-1)?.[1] ?? 0);
  const executions = last(/^stat::number_of_executed_units:\s*(\d+)/gm);
  const [words] =
    /^(thread .* panicked at .*(?:\n.*){0,4}|==\d+==\s*ERROR: .*|ALARM: .*)/m.exec(stderr) ?? [];
  return {
    executions: executions > 0 ? executions : last(/^#(\d+)\s/gm),
    coverage: last(/ cov: (\d+)/g),
    broke: code === 0 ? undefined : (words ?? `ended with ${code}`),
  };
}

const Said = z.object({
  executions: z.number(),
  blocks: z.number().default(0),
  message: z.string().optional(),
});

/** The one line of JSON of a target of the control plane. */
export function ofTarget(stdout: string, code: number): Fuzzed {
  const line = stdout.trim().split("\n").at(-1) ?? "";
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return { executions: 0, coverage: 0, broke: `ended with ${code}: ${line.slice(0, 200)}` };
  }
  const { executions, blocks, message } = Said.parse(json);
  return { executions, coverage: blocks, broke: message ?? (code === 0 ? undefined : `ended with ${code}`) };
}
