// Runs in a pod: asks at a constant rate, whatever the answers take, until it is told to stop by the end of its input.
// Each request has an id that the backends note, so that one that was served twice is seen.
//
//   node load.ts '{"origin":"http://backend.x:8080","method":"GET","rate":100,"seconds":20}'
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

const ANSWER_MS_MAX = 10_000;
const TICK_MS = 5;

const Order = z.strictObject({
  origin: z.string(),
  method: z.enum(["GET", "POST"]),
  rate: z.number().positive(),
  seconds: z.number().positive(),
  /** Begins the ids. */
  name: z.string(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const errors: Record<string, number> = {};
const failed: string[] = [];
const took: number[] = [];
let asked = 0;

function ask(id: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const call = request(
    `${order.origin}/note/${id}`,
    { method: order.method, agent, signal: AbortSignal.timeout(ANSWER_MS_MAX) },
    (response) => {
      response.resume();
      response.once("error", (error) => resolve(error.message));
      response.once("end", () => {
        const told = response.headers["l5d-proxy-error"];
        resolve(response.statusCode === 200 ? "" : `${response.statusCode ?? 0} ${String(told ?? "")}`);
      });
    },
  );
  call.once("error", (error) => resolve(error.message));
  call.end(order.method === "POST" ? "noted" : undefined);
  return promise;
}

async function once(): Promise<void> {
  asked += 1;
  const id = `${order.name}-${asked}`;
  const began = performance.now();
  const outcome = await ask(id);
  if (outcome === "") took.push(performance.now() - began);
  else {
    failed.push(id);
    errors[outcome] = (errors[outcome] ?? 0) + 1;
  }
}

const began = performance.now();
const waiting: Promise<void>[] = [];
for (let elapsed = 0; elapsed < order.seconds; elapsed = (performance.now() - began) / 1_000) {
  const due = Math.floor(elapsed * order.rate) + 1;
  while (waiting.length < due) waiting.push(once());
  await sleep(TICK_MS);
}
await Promise.all(waiting);
const sorted = took.toSorted((one, other) => one - other);
const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
console.log(
  JSON.stringify({
    asked,
    answered: took.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    worstMs: at(1 - 1e-9),
    errors,
    failed,
  }),
);
process.exit(0);
