/**
 * Writes the linker script that puts what runs side by side (`proxy/run/order.ld`), from runs of a pair whose program has
 * its symbols, as root:
 *
 *     cd proxy && CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --locked -p hauberk-proxy && cd ..
 *     node_modules/.bin/node conformance/bench/order.ts proxy/target/TRIPLE/release/hauberk-proxy
 *
 * A script that is old makes the program larger in memory and nothing else: functions that it does not know lie elsewhere.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { executed, functions, patterns, script } from "./layout.ts";
import { AUTHORITY } from "./peer.ts";
import { hauberk } from "./peers/hauberk.ts";
import { output } from "./running.ts";
import { build, findValgrind } from "./tools.ts";
import { World } from "./world.ts";
import type { Service } from "./world.ts";

const ROOT = join(import.meta.dirname, "../..");
const SCRIPT = join(ROOT, "proxy/run/order.ld");
const END_MS = 30_000;

/** What a sidecar does all day. */
const LOADS: readonly (readonly [Service, readonly string[]])[] = [
  ["http", ["http", "proto=h1", "conns=2", "requests=200"]],
  ["http", ["http", "proto=grpc", "path=/bench.Echo/Unary", "conns=2", "requests=200"]],
  ["raw", ["first", "proto=tcp"]],
];

async function ran(world: World, binary: string): Promise<ReadonlySet<string>> {
  const valgrind = await findValgrind(ROOT);
  const peer = hauberk(binary, "as built", [process.execPath, join(ROOT, "mesh/controller/main.ts")]);
  const names = new Set<string>();
  for (const [index, [service, [what = "", ...words]]] of LOADS.entries()) {
    const files: string[] = [];
    const pair = await world.startPair(peer, service, (role, command) => {
      const file = join(world.proxyFolder(peer, role), `ran-${index}`);
      files.push(file);
      const flags = ["--tool=callgrind", "--vgdb=no", "--demangle=no", `--callgrind-out-file=${file}`];
      return [...valgrind, ...flags, ...command];
    });
    try {
      await world.load([what, world.target(peer, service), `host=${AUTHORITY}`, ...words]);
    } finally {
      await pair.stop(END_MS);
    }
    for (const file of files) for (const name of executed(readFileSync(file, "utf8"))) names.add(name);
  }
  return names;
}

async function main([binary]: readonly string[]): Promise<void> {
  if (binary === undefined) throw new Error("usage: order.ts PROXY");
  const all = functions(await output(["nm", "--print-size", "--defined-only", binary]));
  if (all.length === 0)
    throw new Error(`${binary} has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=none`);
  const tools = await build(ROOT, "tools", ["hauberk-bench", "hauberk-sandbox"]);
  const program = (name: string): string => {
    const path = tools[name];
    if (path === undefined) throw new Error(`cargo built no ${name}`);
    return path;
  };
  const programs = {
    sandbox: program("hauberk-sandbox"),
    hload: program("hload"),
    hserve: program("hserve"),
    hpolicy: program("hpolicy"),
  };
  const world = await World.open(programs, "none");
  try {
    const names = await ran(world, binary);
    const found = patterns(all, names);
    writeFileSync(SCRIPT, script(found));
    console.log(`${names.size} of ${all.length} functions ran; ${found.length} patterns name them`);
  } finally {
    await world.close();
  }
}

await main(process.argv.slice(2));
