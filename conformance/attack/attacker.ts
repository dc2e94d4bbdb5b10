// Runs in a pod: carries out one abuse over several connections for some seconds, and prints what became of them.
//
//   node attacker.ts '{"abuse":"ping","host":"10.0.0.1","port":8081,"authority":"x","seconds":3,"connections":3}'
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { z } from "zod";
import { ABUSES, type Abuse } from "./abuses.ts";
import { FrameReader, frame, PREFACE, Type } from "./frames.ts";

const PAUSE_MS = 50;
/** A refused attacker comes back, but not in a loop that would only measure handshakes. */
const AGAIN_MS = 5;
const CONNECT_MS_MAX = 3_000;

const Order = z.strictObject({
  abuse: z.string(),
  host: z.string(),
  port: z.number().int(),
  authority: z.string(),
  seconds: z.number().positive(),
  connections: z.number().int().positive(),
  /** mTLS, and the header that names the application's port. */
  mesh: z.strictObject({ credentials: z.string(), serverName: z.string(), header: z.string() }).optional(),
});

/** What `mesh.credentials` names. */
const Credentials = z.strictObject({ key: z.string(), cert: z.string(), ca: z.string() });

const order = Order.parse(JSON.parse(process.argv[2] ?? ""));
const abuse = ABUSES[order.abuse];
if (abuse === undefined) throw new Error(`no abuse is called ${order.abuse}`);
const until = performance.now() + order.seconds * 1_000;
const tally = { connections: 0, refused: 0, bytes: 0, frames: 0, goAways: {} satisfies object, resets: 0 };
const goAways: Record<string, number> = tally.goAways;

function dial(): Socket {
  const { host, port, mesh } = order;
  if (mesh === undefined) return connect({ host, port });
  const { key, cert, ca } = Credentials.parse(JSON.parse(readFileSync(mesh.credentials, "utf8")));
  const socket = connectTls({
    host,
    port,
    key,
    cert,
    ca,
    servername: mesh.serverName,
    ALPNProtocols: ["transport.l5d.io/v1"],
    minVersion: "TLSv1.3",
    // The proxy checks us; whom we attack is given.
    checkServerIdentity: () => undefined,
  });
  socket.once("secureConnect", () => socket.write(Buffer.from(mesh.header, "hex")));
  return socket;
}

/** One connection, from its beginning to its end or ours. */
async function once(how: Abuse): Promise<void> {
  const socket = dial();
  socket.setTimeout(CONNECT_MS_MAX);
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const connected = new Promise<boolean>((resolve) => {
    socket.once(order.mesh === undefined ? "connect" : "secureConnect", () => resolve(true));
    socket.once("timeout", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
  socket.on("error", () => socket.destroy());
  if (!(await connected)) {
    tally.refused += 1;
    return;
  }
  socket.setTimeout(0);
  tally.connections += 1;
  const reader = new FrameReader((type, payload) => {
    tally.frames += 1;
    if (type === Type.reset) tally.resets += 1;
    if (type === Type.goAway) {
      const code = String(payload.length >= 8 ? payload.readUInt32BE(4) : -1);
      goAways[code] = (goAways[code] ?? 0) + 1;
    }
  });
  if (how.reads) socket.on("data", (part: Buffer) => reader.push(part));
  socket.write(Buffer.concat([PREFACE, frame(Type.settings, 0, 0)]));
  const over = ended.then(() => "closed" as const);
  for (const piece of how.bytes(order.authority)) {
    if (performance.now() > until || socket.destroyed) break;
    if (piece.length === 0) {
      await Promise.race([sleep(PAUSE_MS), over]);
      continue;
    }
    tally.bytes += piece.length;
    if (!socket.write(piece)) {
      const drained = new Promise<void>((resolve) => socket.once("drain", () => resolve()));
      await Promise.race([drained, over, sleep(Math.max(0, until - performance.now()))]);
    }
    // Lets what was answered be read.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  if (!how.reads) await Promise.race([over, sleep(Math.max(0, until - performance.now()))]);
  socket.destroy();
}

await Promise.all(
  Array.from({ length: order.connections }, async () => {
    while (performance.now() < until) {
      await once(abuse);
      await sleep(AGAIN_MS);
    }
  }),
);
console.log(JSON.stringify(tally));
process.exit(0);
