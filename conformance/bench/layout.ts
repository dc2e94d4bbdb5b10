/**
 * Where functions lie in the program. The kernel maps 64 KiB around each page that is touched, so that functions that run,
 * scattered among those that do not, make nearly all of the program resident. Those that have run are put side by side.
 */

/** A function of the program, and how many bytes it has. */
export type Sized = { readonly symbol: string; readonly bytes: number };

/** Of a group of functions, this share must have run for all of it to be named as one. */
const WHOLE_SHARE = 0.9;
/** A group of fewer bytes is named as one if anything of it has run. */
const WHOLE_BYTES = 256;

/** Names of the functions that have run, from a callgrind file that kept names as they are linked. */
export function executed(callgrind: string): ReadonlySet<string> {
  const names = [...callgrind.matchAll(/^c?fn=\(\d+\) (\S+)$/gm)].map(([, name = ""]) => name);
  return new Set(names.map((name) => name.replace(/'\d+$/, "")));
}

/** Functions from the table that `nm --print-size --defined-only` prints. */
export function functions(nm: string): readonly Sized[] {
  return [...nm.matchAll(/^[0-9a-f]+ ([0-9a-f]+) [tTwW] (\S+)$/gm)].map(([, size = "0", symbol = ""]) => ({
    symbol,
    bytes: Number.parseInt(size, 16),
  }));
}

/**
 * A symbol as steps from the crate to the function, which joined together are a pattern of it: hashes and versions, which
 * change with every compiler and release, are left open.
 */
export function steps(symbol: string): readonly string[] {
  const rust = /^_ZN(.*)17h[0-9a-f]{16}E/.exec(symbol)?.[1];
  if (rust !== undefined) return ["_ZN", ...components(rust), "17h*"];
  if (symbol.startsWith("_R")) return [symbol.replaceAll(/Cs[0-9A-Za-z]+_/g, "Cs*_").replace(/\.\d+$/, ".*")];
  const named = symbol.replace(/^(aws_lc)_\d+_\d+_\d+_/, "$1_*_").replace(/\.\d+$/, ".*");
  return named.split(/(?<=[a-z0-9]_)(?=[A-Za-z0-9])/);
}

/** `5tokio7runtime` is `5tokio` and `7runtime`; an implementation's length depends on what follows, and is left open. */
function components(mangled: string): readonly string[] {
  const found: string[] = [];
  let rest = mangled;
  for (;;) {
    const digits = /^\d+/.exec(rest)?.[0];
    if (digits === undefined) return found;
    const end = digits.length + Number(digits);
    const text = rest.slice(digits.length, end);
    if (text.startsWith("_$"))
      found.push(..."*".concat(text).split(/(?<=[A-Za-z0-9_])(?=\.\.|\$u20\$as\$u20\$)/));
    else found.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
}

class Group {
  readonly below = new Map<string, Group>();
  bytes = 0;
  run = 0;
}

/** Patterns of the functions that have run, as few as name them without naming much that has not. */
export function patterns(all: readonly Sized[], run: ReadonlySet<string>): readonly string[] {
  const root = new Group();
  for (const { symbol, bytes } of all) {
    let group = root;
    for (const step of steps(symbol)) {
      const next = group.below.get(step) ?? new Group();
      group.below.set(step, next);
      next.bytes += bytes;
      if (run.has(symbol)) next.run += bytes;
      group = next;
    }
  }
  return [...root.below].flatMap(([step, group]) => named(group, step)).toSorted();
}

function named(group: Group, name: string): readonly string[] {
  if (group.run === 0) return [];
  if (group.below.size === 0) return [name];
  const whole = group.run >= group.bytes * WHOLE_SHARE || group.bytes < WHOLE_BYTES;
  if (whole && name !== "_ZN") return [name.endsWith("*") ? name : `${name}*`];
  return [...group.below].flatMap(([step, next]) => named(next, name + step));
}

/** The linker script that puts functions of these patterns first; those of Rust also where they are marked as cold. */
export function script(found: readonly string[]): string {
  const lines = found.map((pattern) => `    *(.text${pattern.startsWith("_") ? "*." : "."}${pattern})`);
  return [
    "/* Functions that run when the proxy starts and serves, side by side, so that only they are resident.",
    "   Written by conformance/bench/order.ts; what it does not name lies behind. */",
    "SECTIONS {",
    "  .text.run : {",
    ...lines,
    "  }",
    "} INSERT BEFORE .text;",
    "",
  ].join("\n");
}
