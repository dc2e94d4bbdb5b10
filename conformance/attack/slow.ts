// Runs in a pod: holds many connections, each as slow as its kind, and prints what became of them.
//
//   node slow.ts '{"kind":"head","host":"10.0.0.1","port":8080,"connections":500,"seconds":15}'
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** Between two bytes of a slow client. */
const DRIP_MS = 1_000;
/** Connections that are opened at once; more would only wait in the kernel. */
const AT_ONCE = 100;
const CONNECT_MS_MAX = 5_000;

const Kind = z.enum(["head", "body", "read", "silent-tls", "cut-tls"]);
type Kind = z.infer<typeof Kind>;
const Order = z.strictObject({
  kind: Kind,
  host: z.string(),
  port: z.number().int(),
  connections: z.number().int().positive(),
  seconds: z.number().positive(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));

/** A TLS record header and the beginning of a ClientHello (RFC 8446 §4 and §5.1), announcing more than comes. */
const CUT_HELLO = Buffer.concat([
  Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
  Buffer.alloc(32, 7),
  Buffer.from([0, 0, 2, 0x13, 1]),
]);
const FIRST: Readonly<Record<Kind, string | Buffer>> = {
  head: "GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ",
  body: "POST /digest HTTP/1.1\r\nHost: slow\r\nContent-Length: 100000\r\n\r\n",
  read: "GET /bytes/4000000 HTTP/1.1\r\nHost: slow\r\n\r\n",
  "silent-tls": "",
  "cut-tls": CUT_HELLO,
};

const tally = { opened: 0, refused: 0, ended: 0, firstEndMs: 0, lastEndMs: 0 };
const open = new Set<Socket>();

async function begin(): Promise<void> {
  const socket = connect({ host: order.host, port: order.port });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), CONNECT_MS_MAX);
  socket.once("connect", () => resolve(true));
  socket.on("error", () => resolve(false));
  const connected = await promise;
  clearTimeout(timer);
  if (!connected) {
    tally.refused += 1;
    socket.destroy();
    return;
  }
  const began = performance.now();
  tally.opened += 1;
  open.add(socket);
  // A client that reads slowly takes what its kernel takes, and then nothing.
  if (order.kind === "read") socket.pause();
  else socket.resume();
  const end = (): void => {
    if (!open.delete(socket)) return;
    tally.ended += 1;
    const ms = Math.round(performance.now() - began);
    tally.firstEndMs = tally.firstEndMs === 0 ? ms : Math.min(tally.firstEndMs, ms);
    tally.lastEndMs = Math.max(tally.lastEndMs, ms);
  };
  socket.once("end", end);
  socket.once("close", end);
  socket.write(FIRST[order.kind]);
}

for (let opened = 0; opened < order.connections; opened += AT_ONCE) {
  const group = Math.min(AT_ONCE, order.connections - opened);
  await Promise.all(Array.from({ length: group }, begin));
}
console.log("open");
const until = performance.now() + order.seconds * 1_000;
while (performance.now() < until) {
  await sleep(DRIP_MS);
  if (order.kind === "head" || order.kind === "body") for (const socket of open) socket.write("a");
}
console.log(JSON.stringify({ ...tally, left: open.size }));
process.exit(0);
