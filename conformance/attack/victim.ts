// Runs in a pod: asks at a constant rate over Node's own HTTP/2 client, whatever the answers take, and prints a tally.
//
//   node victim.ts '{"origin":"http://server.x:8081","path":"/","seconds":5,"rate":100}'
import { connect, type ClientHttp2Session } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** A request that takes longer is not answered. */
const ANSWER_MS_MAX = 5_000;
const TICK_MS = 10;
const OK = 200;

const Order = z.strictObject({
  origin: z.string(),
  path: z.string(),
  seconds: z.number().positive(),
  rate: z.number().positive(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));
const errors: Record<string, number> = {};
const took: number[] = [];
let [asked, answered] = [0, 0];
let session: ClientHttp2Session | undefined;

function current(): ClientHttp2Session {
  if (session === undefined || session.closed || session.destroyed) {
    session = connect(order.origin);
    session.on("error", () => undefined);
  }
  return session;
}

async function ask(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const stream = current().request({ ":path": order.path });
  const timer = setTimeout(() => {
    resolve(`nothing within ${ANSWER_MS_MAX} ms`);
    stream.close();
  }, ANSWER_MS_MAX);
  let status = 0;
  stream.once("response", (headers) => {
    status = headers[":status"] ?? 0;
  });
  stream.on("data", () => undefined);
  stream.once("end", () => resolve(status === OK ? "" : `status ${status}`));
  stream.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  stream.once("close", () => resolve(`closed with ${stream.rstCode}`));
  const outcome = await promise;
  clearTimeout(timer);
  return outcome;
}

async function once(): Promise<void> {
  asked += 1;
  const began = performance.now();
  const outcome = await ask().catch((error: unknown) => String(error));
  if (outcome === "") {
    answered += 1;
    took.push(performance.now() - began);
  } else errors[outcome] = (errors[outcome] ?? 0) + 1;
}

const began = performance.now();
const waiting: Promise<void>[] = [];
for (let elapsed = 0; elapsed < order.seconds; elapsed = (performance.now() - began) / 1_000) {
  const due = Math.floor(elapsed * order.rate) + 1;
  while (asked < due) waiting.push(once());
  await sleep(TICK_MS);
}
await Promise.all(waiting);
const sorted = took.toSorted((one, other) => one - other);
const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
console.log(JSON.stringify({ asked, answered, p50Ms: at(0.5), p99Ms: at(0.99), errors }));
process.exit(0);
