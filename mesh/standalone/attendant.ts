// A process in the bridge's namespace: answers pods' DNS queries and asks pods whether they are well. It is told
// what to do line by line, and ends when its input does.
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { decode, encode, streamEncode } from "dns-packet";
import { z } from "zod";
import { answer } from "./dns.ts";
import { seeCertificate } from "./handshake.ts";
import { probe } from "./probe.ts";
import type { Zone } from "./services.ts";

const DNS_PORT = 53;
/** A resolver that sends more in one message than a name needs is not served. */
const TCP_MESSAGE_BYTES_MAX = 4_096;
/** RFC 1035: larger answers over UDP are cut, and the client comes back over TCP. */
const UDP_ANSWER_BYTES_MAX = 1_232;
const TRUNCATED = 0x0200;

const Address = z.object({ type: z.enum(["http", "tcp", "grpc"]), host: z.string(), port: z.number().int() });
const Records = z.object({
  a: z.array(z.string()),
  cname: z.string().optional(),
  srv: z.array(z.object({ target: z.string(), port: z.number().int() })),
});
const ZoneQuestion = z.object({
  id: z.number().int(),
  op: z.literal("zone"),
  domain: z.string(),
  names: z.record(z.string(), Records),
});
const Question = z.discriminatedUnion("op", [
  ZoneQuestion,
  z.object({
    id: z.number().int(),
    op: z.literal("certificate"),
    host: z.string(),
    port: z.number().int(),
    serverName: z.string(),
    timeoutMs: z.number().int().min(1),
  }),
  Address.extend({
    id: z.number().int(),
    op: z.literal("probe"),
    path: z.string().default("/"),
    scheme: z.enum(["HTTP", "HTTPS"]).default("HTTP"),
    service: z.string().default(""),
    headers: z.array(z.object({ name: z.string(), value: z.string() })).default([]),
    timeoutMs: z.number().int().min(1),
  }),
]);

let current: Zone = { domain: "cluster.local", names: {} };

function toZone({ domain, names }: z.infer<typeof ZoneQuestion>): Zone {
  return {
    domain,
    names: Object.fromEntries(
      Object.entries(names).map(([name, { a, srv, cname }]) => [
        name,
        { a, srv, ...(cname === undefined ? {} : { cname }) },
      ]),
    ),
  };
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function obey(line: string): Promise<void> {
  const question = Question.parse(JSON.parse(line));
  if (question.op === "zone") {
    current = toZone(question);
    say({ id: question.id, ok: {} });
    return;
  }
  if (question.op === "probe") {
    say({ id: question.id, ok: await probe(question) });
    return;
  }
  try {
    say({ id: question.id, ok: await seeCertificate(question) });
  } catch (error) {
    say({ id: question.id, error: error instanceof Error ? error.message : String(error) });
  }
}

function serveUdp(address: string): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("message", (message, from) => {
    try {
      const query = decode(message);
      const packet = answer(query, current);
      const bytes = encode(packet);
      const fits = bytes.length <= UDP_ANSWER_BYTES_MAX;
      const sent = fits ? bytes : encode({ ...packet, answers: [], flags: (packet.flags ?? 0) | TRUNCATED });
      socket.send(sent, from.port, from.address);
    } catch {
      // Not a query: nobody waits for an answer.
    }
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(DNS_PORT, address, () => resolve());
  });
}

function serveTcp(address: string): Promise<void> {
  const server = createServer((socket: Socket) => {
    let received = Buffer.alloc(0);
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("data", (part: Buffer) => {
      received = Buffer.concat([received, part]);
      if (received.length > TCP_MESSAGE_BYTES_MAX) socket.destroy();
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const message = received.subarray(2, end);
        received = received.subarray(end);
        try {
          socket.write(streamEncode(answer(decode(message), current)));
        } catch {
          socket.destroy();
        }
      }
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(DNS_PORT, address, () => resolve());
  });
}

const [address = "127.0.0.1"] = process.argv.slice(2);
await Promise.all([serveUdp(address), serveTcp(address)]);
const input = createInterface({ input: process.stdin });
input.on("line", (line) => void obey(line));
input.on("close", () => process.exit(0));
say({ ready: true });
