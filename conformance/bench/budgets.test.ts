/**
 * What a request and a connection may cost, in instructions and bytes, with a margin over what they cost when this was
 * written. Never in time: that is for `npm run bench` on a machine that does nothing else.
 */

import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { COUNTED_LOADS, perRequest, policy, POLICY_SIZES } from "./counting.ts";
import type { CountedLoad } from "./counting.ts";
import { hauberk } from "./peers/hauberk.ts";
import { closing, idle } from "./scenarios.ts";
import type { Bench } from "./scenarios.ts";
import type { Figures } from "./results.ts";
import { build, findValgrind } from "./tools.ts";
import { World } from "./world.ts";

const ROOT = join(import.meta.dirname, "../..");
const BINARY = join(ROOT, "proxy/target/bin/hauberk-proxy");
const CONNECTIONS = 1_000;

/** User instructions per request of the pair, one after the other on one connection, TLS and metrics included. */
const INSTRUCTIONS = { "HTTP/1.1": 94_000, gRPC: 164_000 } as const satisfies Record<CountedLoad, number>;
/** As many times as among ten, an evaluation may cost among ten thousand: a table's, not a search's. */
const POLICY_GROWTH = 2;
const BINARY_MIB = 11;
/** Figures of the idle pair, by name: at most so much. */
const MEMORY: Figures = {
  "RSS MiB outbound idle": 7.25,
  "RSS MiB inbound idle": 7.25,
  "anonymous MiB outbound idle": 1.4,
  "anonymous MiB inbound idle": 1.4,
  "KiB/HTTP/1 connection outbound": 2.5,
  "KiB/opaque mTLS connection outbound": 12.25,
  "KiB/opaque mTLS connection inbound": 12.25,
};

/** What a proxy keeps of 1000 connections after half a minute; with them it had 11 MiB more. The goal is 0.8, measured are 0.5 to 0.82. */
const KEPT: Figures = { "MiB kept outbound 30 s after": 1, "MiB kept inbound 30 s after": 1 };

/**
 * What other tests take of the machine only adds to a count: a slower run has more ticks of timers and more wake-ups for the
 * same requests. So a count above its budget is taken again, and the least stands for the code.
 */
const COUNTS_MAX = 3;
/** As `nice` counts; what is started inherits it. */
const PRIORITY = -15;

/** Peers are told apart by their user, so another user than root cannot redirect them. */
const skip = process.geteuid?.() === 0 ? false : "the budgets of the pair need root";

let bench: Bench & { readonly peer: NonNullable<Bench["peer"]> };

before(async () => {
  if (skip !== false) return;
  // What is counted goes before the tests beside it, which would add wake-ups and ticks to it.
  setPriority(PRIORITY);
  assert.ok(existsSync(BINARY), "the proxy is built before the tests run");
  const tools = await build(ROOT, "dev", ["hauberk-bench", "hauberk-sandbox"]);
  const program = (name: string): string => tools[name] ?? assert.fail(`cargo built no ${name}`);
  const programs = {
    sandbox: program("hauberk-sandbox"),
    hload: program("hload"),
    hserve: program("hserve"),
    hpolicy: program("hpolicy"),
  };
  const controller = [process.execPath, join(ROOT, "mesh/controller/main.ts")] as const;
  const world = await World.open(programs, "none");
  bench = {
    world,
    peer: hauberk(BINARY, "built", controller),
    seconds: 1,
    valgrind: await findValgrind(ROOT),
  };
});

after(async () => {
  if (skip === false) await bench.world.close();
});

function within(figures: Figures, budgets: Figures): void {
  for (const [name, most] of Object.entries(budgets)) {
    const found = figures[name] ?? assert.fail(`${name} was not measured`);
    assert.ok(found <= most, `${name}: ${found.toFixed(2)}, and ${most} are allowed`);
  }
}

for (const [load, most] of Object.entries(INSTRUCTIONS)) {
  test(`a ${load} request costs no more instructions than its budget`, { skip }, async () => {
    const kind = Object.hasOwn(COUNTED_LOADS, load) && load === "gRPC" ? "gRPC" : "HTTP/1.1";
    const counts: number[] = [];
    while (counts.length < COUNTS_MAX && !(Math.min(...counts) <= most)) {
      const ends = await perRequest(bench.world, bench.peer, bench.valgrind, kind);
      counts.push([...ends.values()].reduce((sum, one) => sum + one, 0));
    }
    const least = Math.min(...counts);
    assert.ok(least > 0 && least <= most, `${counts.map(Math.round).join(", ")}, and ${most} are allowed`);
  });
}

test("the program is no larger than its budget", { skip }, () => {
  const size = statSync(BINARY).size / 2 ** 20;
  assert.ok(size <= BINARY_MIB, `${size.toFixed(1)} MiB, and ${BINARY_MIB} are allowed`);
});

test("an idle proxy and an idle connection take no more memory than their budgets", { skip }, async () => {
  within(await idle(bench, CONNECTIONS), MEMORY);
});

test("the memory of connections that have closed is given back", { skip }, async () => {
  within(await closing(bench), KEPT);
});

test("what an evaluation of policy costs stays flat from ten to ten thousand", { skip }, async () => {
  const figures = await policy(bench.world.programs.hpolicy, bench.valgrind);
  const least = Math.min(...POLICY_SIZES);
  const greatest = Math.max(...POLICY_SIZES);
  const names = Object.keys(figures).filter((name) => name.endsWith(` of ${least}`));
  assert.ok(names.length > 0);
  for (const name of names) {
    const few = figures[name] ?? Number.NaN;
    const many = figures[name.replace(` of ${least}`, ` of ${greatest}`)] ?? Number.NaN;
    assert.ok(many <= few * POLICY_GROWTH, `${name} costs ${few}, of ${greatest} ${many}`);
  }
});
