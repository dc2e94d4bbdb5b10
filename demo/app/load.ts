// Drives the shop at a constant rate, whatever the answers take, and prints one JSON line per second.
import { Agent } from "node:http";
import { WebSocket } from "ws";
import { z } from "zod";
import { get } from "./clients.ts";
import { onStop, setting } from "./settings.ts";

/** A request that takes longer counts as failed. */
const TIMEOUT_MS = 30_000;
/** The generator looks at its schedule this often. */
const TICK_MS = 20;

const Rate = z.tuple([z.string().startsWith("/"), z.coerce.number().positive().max(10_000)]);

/** Requests per second for each page, from `RATES`: `/checkout=60,/risk=10`. */
function parseRates(text: string): ReadonlyMap<string, number> {
  return new Map(text.split(",").map((part) => Rate.parse(part.split("="))));
}

interface Count {
  ok: number;
  failed: number;
  slowestMs: number;
  readonly versions: Record<string, number>;
  readonly errors: Record<string, number>;
}

const Checkout = z.object({ version: z.string().optional(), error: z.string().optional() });
const target = setting("TARGET");
const rates = parseRates(setting("RATES"));
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
let counts: Record<string, Count> = {};
let prices = { messages: 0, disconnects: 0 };
let inFlight = 0;
let sequence = 0;

function count(path: string): Count {
  return (counts[path] ??= { ok: 0, failed: 0, slowestMs: 0, versions: {}, errors: {} });
}

function bump(table: Record<string, number>, key: string): void {
  table[key] = (table[key] ?? 0) + 1;
}

async function once(path: string): Promise<void> {
  sequence += 1;
  inFlight += 1;
  const started = performance.now();
  try {
    const answer = await get(`http://${target}${path}?id=p-${sequence}`, { agent, timeoutMs: TIMEOUT_MS });
    const page = count(path);
    const body = Checkout.safeParse(JSON.parse(answer.body));
    if (answer.status === 200) page.ok += 1;
    else {
      page.failed += 1;
      bump(page.errors, `${answer.status} ${answer.body.slice(0, 160)}`);
    }
    if (body.success && body.data.version !== undefined) bump(page.versions, body.data.version);
  } catch (error) {
    const page = count(path);
    page.failed += 1;
    bump(page.errors, error instanceof Error ? error.message : String(error));
  } finally {
    inFlight -= 1;
    const page = count(path);
    page.slowestMs = Math.max(page.slowestMs, Math.round(performance.now() - started));
  }
}

/** Keeps one WebSocket open and counts what comes. */
function listen(): void {
  const socket = new WebSocket(`ws://${target}/prices`);
  socket.on("message", () => (prices.messages += 1));
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    prices.disconnects += 1;
    setTimeout(listen, 500);
  });
}

const started = performance.now();
const sent = new Map<string, number>();
setInterval(() => {
  const seconds = (performance.now() - started) / 1_000;
  for (const [path, rate] of rates) {
    const due = Math.floor(seconds * rate);
    for (let nth = sent.get(path) ?? 0; nth < due; nth += 1) void once(path);
    sent.set(path, due);
  }
}, TICK_MS);
setInterval(() => {
  console.log(JSON.stringify({ at: new Date().toISOString(), inFlight, pages: counts, prices }));
  counts = {};
  prices = { messages: 0, disconnects: 0 };
}, 1_000);
listen();
onStop(() => process.exit(0));
