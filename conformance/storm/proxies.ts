// Many simulated proxies in one process: each has a connection to the destination and to the policy service and follows its
// streams, again after each end, as proxies do. Told a version by its parent, it answers when every stream has seen it.
//
//   fork("proxies.ts", ['{"proxies":250,"first":0,"destination":8086,"policy":8090,"services":20}'])
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { Caller, message, values } from "./calls.ts";

/** Services that each proxy talks to. */
const FOLLOWED = 4;
const PAUSE_MS = { first: 100, max: 2_000 } as const;
const PORT = 8080;
const GET_DESTINATION = "/io.linkerd.proxy.destination.Destination/Get";
const WATCH_OUTBOUND = "/io.linkerd.proxy.outbound.OutboundPolicies/Watch";
const WATCH_INBOUND = "/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort";

const Order = z.strictObject({
  proxies: z.number().int().positive(),
  first: z.number().int().min(0),
  destination: z.number().int(),
  policy: z.number().int(),
  services: z.number().int().positive(),
});
const order = Order.parse(JSON.parse(process.argv[2] ?? ""));
const Wish = z.strictObject({ version: z.number().int() });

/** What each stream has seen: a version for endpoints, 0 for a policy that came, -1 for nothing yet. */
const seen = new Map<string, number>();
let reconnects = 0;
let worstPauses = 0;

/** Numbers of fields from an update down to an IPv4 address: add, addrs, addr, ip, ipv4. */
const ADDED = [1, 1, 1, 1, 1] as const;

/** The version is the third octet of an endpoint's address. */
function versionOf(update: Buffer): number {
  let found: readonly Buffer[] = [update];
  for (const field of ADDED) found = found.flatMap((one) => [...values(one, field)]);
  // 32 bits, the least first.
  return Math.max(-1, ...found.map((bits) => bits.readUInt8(1)));
}

/** Follows one stream for ever. */
async function follow(key: string, open: () => AsyncIterable<number>): Promise<void> {
  seen.set(key, -1);
  for (let pauses = 0; ; pauses += 1) {
    try {
      for await (const version of open()) {
        seen.set(key, Math.max(seen.get(key) ?? -1, version));
        pauses = 0;
      }
    } catch {
      // Refused, reset or not there yet.
    }
    reconnects += 1;
    worstPauses = Math.max(worstPauses, pauses);
    const pauseMs = Math.min(PAUSE_MS.max, PAUSE_MS.first * 2 ** Math.min(pauses, 10));
    await sleep(pauseMs * (0.5 + Math.random() / 2));
  }
}

function proxy(index: number): void {
  const [destination, policy] = [new Caller(order.destination), new Caller(order.policy)];
  const workload = JSON.stringify({ ns: "prod", pod: `pod-${index}` });
  for (let nth = 0; nth < FOLLOWED; nth += 1) {
    const authority = `svc-${(index + nth) % order.services}.prod.svc.cluster.local:${PORT}`;
    // GetDestination: scheme, path, context_token.
    const endpoints = message([
      [1, "k8s"],
      [2, authority],
      [3, JSON.stringify({ ns: "prod" })],
    ]);
    void follow(`${index} endpoints ${nth}`, async function* () {
      for await (const update of destination.follow(GET_DESTINATION, endpoints)) yield versionOf(update);
    });
    // TrafficSpec: source_workload, authority.
    const outbound = message([
      [1, workload],
      [3, authority],
    ]);
    void follow(`${index} outbound ${nth}`, async function* () {
      for await (const _ of policy.follow(WATCH_OUTBOUND, outbound)) yield Number.MAX_SAFE_INTEGER;
    });
  }
  // PortSpec: workload, port.
  const inbound = message([
    [1, workload],
    [2, PORT],
  ]);
  void follow(`${index} inbound`, async function* () {
    for await (const _ of policy.follow(WATCH_INBOUND, inbound)) yield Number.MAX_SAFE_INTEGER;
  });
}

process.on("message", (message) => {
  const { version } = Wish.parse(message);
  const look = setInterval(() => {
    let behind = 0;
    for (const one of seen.values()) if (one < version) behind += 1;
    if (behind > 0) return;
    clearInterval(look);
    process.send?.({ version, streams: seen.size, reconnects, worstPauses });
  }, 50);
});
process.once("disconnect", () => process.exit(0));
for (let nth = 0; nth < order.proxies; nth += 1) proxy(order.first + nth);
