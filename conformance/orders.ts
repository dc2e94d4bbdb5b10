/** What a run of the suites was asked for. */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FIXED_SEED, type Effort } from "./fuzz/plan.ts";

/** How long `--long` explores each fuzz target. */
const EXPLORING_SECONDS = 300;
const OUT = join(import.meta.dirname, "..", "out", "conformance");

/** What a process does of a run: all of it, or what may go on beside it. */
export type Part = "whole" | "beside";

/** The words of the command line. */
export interface Orders {
  /** All suites if none is named. */
  readonly suites: readonly string[];
  readonly part: Part;
  /** Nothing but what may go on beside others begins before this file is there. */
  readonly after: string | undefined;
  readonly against: string;
  /** The data plane's binary, instead of the one that was built from this tree. */
  readonly proxy: string | undefined;
  readonly out: string;
  readonly isExpecting: boolean;
  readonly isLong: boolean;
  readonly requests: number | undefined;
  /** Of what is generated. */
  readonly seed: number;
  readonly effort: Effort;
  /** One input of a fuzz target, as base64. */
  readonly input: string | undefined;
  readonly only: readonly string[];
  /** The options as they came, for a part. */
  readonly options: readonly string[];
}

function partOf(part: string | undefined): Part {
  if (part === undefined || part === "beside") return part ?? "whole";
  throw new Error(`--part ${part}: there is no part but beside`);
}

/** A whole number that an option gives. */
function numberOf(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value)) throw new Error(`--${name} ${value} is not a whole number`);
  return Number(value);
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    tokens: true,
    options: {
      against: { type: "string", default: "mesh" },
      proxy: { type: "string" },
      out: { type: "string", default: OUT },
      "no-expectations": { type: "boolean", default: false },
      long: { type: "boolean", default: false },
      requests: { type: "string" },
      seed: { type: "string" },
      input: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      seconds: { type: "string" },
      after: { type: "string" },
      // What a run calls a part of itself that it starts with the lowest priority.
      part: { type: "string" },
    },
  });
}

/** Reads the command line. */
export function ordersOf(args: readonly string[]): Orders {
  const { values, positionals, tokens } = parse(args);
  const [seed, seconds] = [numberOf("seed", values.seed), numberOf("seconds", values.seconds)];
  const isExploring = values.long || seconds !== undefined;
  const effort: Effort = isExploring
    ? { kind: "exploring", seconds: seconds ?? EXPLORING_SECONDS, seed: seed ?? randomInt(1, 2 ** 31) }
    : { kind: "fixed", seed: seed ?? FIXED_SEED };
  const options = tokens.flatMap((token) => {
    if (token.kind !== "option" || ["out", "after", "part", "proxy"].includes(token.name)) return [];
    return token.value === undefined ? [`--${token.name}`] : [`--${token.name}=${token.value}`];
  });
  return {
    suites: positionals,
    part: partOf(values.part),
    after: values.after,
    against: values.against,
    proxy: values.proxy,
    out: values.out,
    isExpecting: !values["no-expectations"],
    isLong: values.long,
    requests: numberOf("requests", values.requests),
    seed: seed ?? FIXED_SEED,
    effort,
    input: values.input,
    only: values.only,
    options,
  };
}
