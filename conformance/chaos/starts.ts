// Runs in a pod: begins everything anew, a name's resolution and a connection for each request, at a constant rate,
// and prints what was slow and in which step.
//
//   node starts.ts '{"hosts":["server.x"],"http":8080,"h2c":8081,"greeter":8082,"opaque":8083,"seconds":20,"rate":40}'
import { lookup } from "node:dns/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

const TICK_MS = 20;
const GIVE_UP_MS = 20_000;

const Order = z.strictObject({
  /** Taken in turn: connections to different addresses may have the same source port. */
  hosts: z.array(z.string()).min(1),
  http: z.number().int(),
  h2c: z.number().int(),
  greeter: z.number().int(),
  opaque: z.number().int(),
  seconds: z.number().positive(),
  rate: z.number().positive(),
  /** A start that takes longer is told. */
  slowMs: z.number().positive(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));

interface Steps {
  readonly kind: string;
  readonly at: string;
  resolved?: number;
  connected?: number;
  answered?: number;
  failed?: string;
}

/** Resolves when `socket` is connected, and then when it has answered what was asked. */
async function ask(
  socket: Socket,
  question: string,
  wanted: RegExp,
  steps: Steps,
  since: number,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let heard = "";
  socket.setTimeout(GIVE_UP_MS, () => reject(new Error("given up")));
  socket.once("error", reject);
  socket.once("connect", () => {
    steps.connected = performance.now() - since;
    if (question !== "") socket.write(question);
  });
  socket.on("data", (part: Buffer) => {
    heard += part.toString("latin1");
    if (wanted.test(heard)) resolve();
  });
  socket.once("close", () => reject(new Error(`closed after ${JSON.stringify(heard.slice(0, 80))}`)));
  await promise.finally(() => socket.destroy());
}

const GET = `GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
const kinds: Readonly<Record<string, (ip: string, steps: Steps, since: number) => Promise<void>>> = {
  http: (host, steps, since) =>
    ask(connect({ host, port: order.http }), GET, /^HTTP\/1\.1 200 /, steps, since),
  greeter: (host, steps, since) => ask(connect({ host, port: order.greeter }), "", /^220 /, steps, since),
  opaque: (host, steps, since) => ask(connect({ host, port: order.opaque }), "", /^220 /, steps, since),
  h2c: async (host, steps, since) => {
    const session = connectHttp2(`http://${host}:${order.h2c}`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error("given up")), GIVE_UP_MS);
    session.once("error", reject);
    session.once("connect", () => (steps.connected = performance.now() - since));
    const stream = session.request({ ":path": "/" });
    stream.once("error", reject);
    stream.once("response", ({ ":status": status }) =>
      status === 200 ? resolve() : reject(new Error(`status ${String(status)}`)),
    );
    stream.resume();
    await promise.finally(() => {
      clearTimeout(timer);
      session.destroy();
    });
  },
};

const slow: Steps[] = [];
const counts = { asked: 0, answered: 0, slow: 0, worstMs: 0 };

async function once(kind: string, host: string): Promise<void> {
  const begin = kinds[kind];
  if (begin === undefined) return;
  counts.asked += 1;
  const since = performance.now();
  const steps: Steps = { kind, at: new Date().toISOString() };
  try {
    const { address } = await lookup(host, { family: 4 });
    steps.resolved = performance.now() - since;
    await begin(address, steps, since);
    counts.answered += 1;
  } catch (error) {
    steps.failed = error instanceof Error ? error.message : String(error);
  }
  steps.answered = performance.now() - since;
  counts.worstMs = Math.max(counts.worstMs, Math.round(steps.answered));
  if (steps.answered > order.slowMs) counts.slow += 1;
  if (steps.failed !== undefined || steps.answered > order.slowMs) slow.push(steps);
}

const began = performance.now();
const waiting: Promise<void>[] = [];
const names = Object.keys(kinds);
for (let elapsed = 0; elapsed < order.seconds; elapsed = (performance.now() - began) / 1_000) {
  const due = Math.floor(elapsed * order.rate) + 1;
  while (waiting.length < due) {
    const nth = waiting.length;
    const host = order.hosts[Math.floor(nth / names.length) % order.hosts.length] ?? "";
    waiting.push(once(names[nth % names.length] ?? "", host));
  }
  await sleep(TICK_MS);
}
await Promise.all(waiting);
console.log(JSON.stringify({ ...counts, told: slow.slice(0, 40) }));
process.exit(0);
