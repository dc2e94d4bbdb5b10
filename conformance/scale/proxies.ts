// Simulated proxies: connections with some streams of `Destination.Get` each. Reports when each change arrived.
//
//   fork("proxies.ts", ['{"destination":8086,"connections":100,"streams":5,"first":0,"services":1000}'])
import { z } from "zod";
import { Caller, message, values } from "../storm/calls.ts";
import { CHANGED_NETWORK, namespaceOf, serviceName } from "./objects.ts";

const GET = "/io.linkerd.proxy.destination.Destination/Get";
/** Numbers of fields from an update down to an IPv4 address: add, addrs, addr, ip, ipv4. */
const ADDED = [1, 1, 1, 1, 1] as const;

const Order = z.strictObject({
  destination: z.number().int(),
  connections: z.number().int().positive(),
  streams: z.number().int().positive(),
  /** Number of the first stream. */
  first: z.number().int(),
  /** Streams are spread over so many services. */
  services: z.number().int().positive(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));

let answered = 0;
let broken = 0;
let arrivals: (readonly [number, number])[] = [];

function look(update: Buffer): void {
  const nowMs = performance.timeOrigin + performance.now();
  let found: readonly Buffer[] = [update];
  for (const field of ADDED) found = found.flatMap((one) => [...values(one, field)]);
  for (const bits of found) {
    // 32 bits, the least first: an address 10.1xx.yyy.zzz of a change is its number.
    const network = bits.readUInt8(2);
    if (bits.readUInt8(3) !== 10 || network < CHANGED_NETWORK) continue;
    const number = ((network - CHANGED_NETWORK) << 16) | (bits.readUInt8(1) << 8) | bits.readUInt8(0);
    arrivals.push([number, nowMs]);
  }
}

async function follow(caller: Caller, stream: number): Promise<void> {
  const index = stream % order.services;
  const path = `${serviceName(index)}.${namespaceOf(index)}.svc.cluster.local:8080`;
  // GetDestination: scheme, path, context_token.
  const request = message([
    [1, "k8s"],
    [2, path],
    [3, JSON.stringify({ ns: namespaceOf(index), nodeName: `node-${stream % 500}` })],
  ]);
  let isFirst = true;
  try {
    for await (const update of caller.follow(GET, request)) {
      if (isFirst) answered += 1;
      // The first answer tells of what was, not of a change.
      else look(update);
      isFirst = false;
    }
  } finally {
    broken += 1;
  }
}

process.on("message", () => {
  const reported = arrivals;
  arrivals = [];
  process.send?.({ answered, broken, arrivals: reported });
});
process.once("disconnect", () => process.exit(0));
for (let nth = 0; nth < order.connections; nth += 1) {
  const caller = new Caller(order.destination);
  for (let of = 0; of < order.streams; of += 1)
    void follow(caller, order.first + nth * order.streams + of).catch(() => undefined);
}
