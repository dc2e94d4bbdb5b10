// Runs in a pod: floods a proxy with TLS handshakes of the hybrid key exchange, and prints what became of them.
//
// `whole`: as many at once as said, each to its end. `hello`: at a constant rate, whatever the answers take, one ClientHello
// that is made once and sent again and again, so that only the server computes; each is closed after its answer.
//
//   node flood.ts '{"kind":"whole","credentials":"/c.json","serverName":"x","host":"10.0.0.1","port":4143,"seconds":5,"atOnce":64,"rate":0,"addresses":[]}'
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { z } from "zod";

const TICK_MS = 5;
/** A handshake that takes longer was queued for too long. */
const DONE_MS_MAX = 12_000;
/** The least first flight of a server that has chosen the hybrid group: its share of ML-KEM-768 and X25519 (1120 bytes). */
const FLIGHT_BYTES_MIN = 1_120;

const Order = z.strictObject({
  kind: z.enum(["whole", "hello"]),
  credentials: z.string(),
  serverName: z.string(),
  host: z.string(),
  port: z.number().int(),
  seconds: z.number().positive(),
  atOnce: z.number().int().positive(),
  rate: z.number().min(0),
  /** Of the pod, from which connections come in turn; any if there are none. */
  addresses: z.array(z.string()),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));
const { key, cert, ca } = z
  .strictObject({ key: z.string(), cert: z.string(), ca: z.string() })
  .parse(JSON.parse(readFileSync(order.credentials, "utf8")));
const tally = { begun: 0, done: 0, refused: 0, worstMs: 0 };

function dial(to: { readonly host: string; readonly port: number }): ReturnType<typeof connectTls> {
  return connectTls({
    ...to,
    key,
    cert,
    ca,
    servername: order.serverName,
    ALPNProtocols: ["transport.l5d.io/v1"],
    minVersion: "TLSv1.3",
    ecdhCurve: "X25519MLKEM768",
    checkServerIdentity: () => undefined,
  });
}

/** Counts one connection that is done when `done` says so, and ends it. */
async function count(socket: Socket, done: Promise<boolean>, end: () => void): Promise<void> {
  tally.begun += 1;
  const began = performance.now();
  const timer = setTimeout(() => socket.destroy(), DONE_MS_MAX);
  const isDone = await done;
  clearTimeout(timer);
  const ms = performance.now() - began;
  if (isDone) tally.done += 1;
  else tally.refused += 1;
  tally.worstMs = Math.max(tally.worstMs, Math.round(ms));
  end();
}

function whole(): Promise<void> {
  const socket = dial(order);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once("secureConnect", () => resolve(true));
  socket.on("error", () => resolve(false));
  socket.once("close", () => resolve(false));
  return count(socket, promise, () => socket.destroy());
}

/** The first bytes that a client of ours sends. */
async function helloBytes(): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = z.object({ port: z.number() }).parse(server.address());
  const client = dial({ host: "127.0.0.1", port });
  client.on("error", () => undefined);
  const [accepted] = z.tuple([z.custom<Socket>()]).parse(await once(server, "connection"));
  const [bytes] = z.tuple([z.instanceof(Buffer)]).parse(await once(accepted, "data"));
  client.destroy();
  accepted.destroy();
  server.close();
  return bytes;
}

function hello(bytes: Buffer, nth: number): Promise<void> {
  const localAddress = order.addresses[nth % order.addresses.length];
  const socket = connect({ ...order, ...(localAddress === undefined ? {} : { localAddress }) });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let received = 0;
  socket.once("connect", () => socket.write(bytes));
  socket.on("data", (part) => {
    received += part.length;
    if (received >= FLIGHT_BYTES_MIN) resolve(true);
  });
  socket.on("error", () => resolve(false));
  socket.once("close", () => resolve(false));
  // Reset: no port stays behind.
  return count(socket, promise, () => socket.resetAndDestroy());
}

const began = performance.now();
const elapsed = (): number => (performance.now() - began) / 1_000;
if (order.kind === "whole") {
  const again = async (): Promise<void> => {
    while (elapsed() < order.seconds) await whole();
  };
  await Promise.all(Array.from({ length: order.atOnce }, again));
} else {
  const bytes = await helloBytes();
  const waiting: Promise<void>[] = [];
  while (elapsed() < order.seconds) {
    const due = Math.floor(elapsed() * order.rate) + 1;
    while (waiting.length < due) waiting.push(hello(bytes, waiting.length));
    await sleep(TICK_MS);
  }
  await Promise.all(waiting);
}
console.log(JSON.stringify({ ...tally, seconds: elapsed() }));
process.exit(0);
