// Many simulated proxies in one process: each has a connection to the destination and to the policy service and follows its
// streams, again after each end, as proxies do. Told a version by its parent, it answers when every stream has seen it.
//
//   fork("proxies.ts", ['{"proxies":250,"first":0,"destination":8086,"policy":8090,"services":20}'])
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { GrpcClient } from "../../mesh/api/client.ts";
import { Destination, type Update } from "../../mesh/api/gen/destination_pb.ts";
import { InboundServerPolicies } from "../../mesh/api/gen/inbound_pb.ts";
import { OutboundPolicies } from "../../mesh/api/gen/outbound_pb.ts";

/** Services that each proxy talks to. */
const FOLLOWED = 4;
const PAUSE_MS = { first: 100, max: 2_000 } as const;
const PORT = 8080;

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

/** The version is the third octet of an endpoint's address. */
function versionOf(update: Update): number {
  if (update.update.case !== "add") return -1;
  const versions = update.update.value.addrs.map(({ addr }) => {
    const ip = addr?.ip?.ip;
    return ip?.case === "ipv4" ? (ip.value >>> 8) & 0xff : -1;
  });
  return Math.max(-1, ...versions);
}

/** Follows one stream for ever. `client` makes a new connection when the last one broke. */
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

/** A client whose connection is made anew when it is gone. */
function dialler(port: number): () => GrpcClient {
  let client: GrpcClient | undefined;
  return () => {
    client ??= new GrpcClient(`http://127.0.0.1:${port}`, () => {
      const socket = connect(port, "127.0.0.1");
      socket.once("close", () => {
        client = undefined;
      });
      return socket;
    });
    return client;
  };
}

function proxy(index: number): void {
  const [destination, policy] = [dialler(order.destination), dialler(order.policy)];
  const forever = new AbortController().signal;
  const workload = JSON.stringify({ ns: "prod", pod: `pod-${index}` });
  for (let nth = 0; nth < FOLLOWED; nth += 1) {
    const authority = `svc-${(index + nth) % order.services}.prod.svc.cluster.local:${PORT}`;
    void follow(`${index} endpoints ${nth}`, async function* () {
      const asked = { scheme: "k8s", path: authority, contextToken: JSON.stringify({ ns: "prod" }) };
      for await (const update of destination().stream(Destination.method.get, asked, forever))
        yield versionOf(update);
    });
    void follow(`${index} outbound ${nth}`, async function* () {
      const target = { case: "authority", value: authority } as const;
      const asked = { sourceWorkload: workload, target };
      for await (const _ of policy().stream(OutboundPolicies.method.watch, asked, forever))
        yield Number.MAX_SAFE_INTEGER;
    });
  }
  void follow(`${index} inbound`, async function* () {
    const asked = { workload, port: PORT };
    for await (const _ of policy().stream(InboundServerPolicies.method.watchPort, asked, forever))
      yield Number.MAX_SAFE_INTEGER;
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
