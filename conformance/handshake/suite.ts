/** The prober against the server proxy's own inbound port, as a peer proxy would speak to it. */
import { BackendPort, type MeshedPeer, type Pair } from "../pair/pair.ts";
import type { Case, SuiteResult } from "../report.ts";
import { concat, u8 } from "./bytes.ts";
import { describe, handshakeCases, OFFER, satisfies, type HandshakeCase } from "./cases.ts";
import { issue, newAuthority } from "./credentials.ts";
import { probe, type Outcome, type Probe } from "./prober.ts";

/** What two proxies speak to each other on their own port (INTERFACE §5). */
const TRANSPORT_ALPN = "transport.l5d.io/v1";
const CASES_LEAST = 45;

export async function handshake(pair: Pair): Promise<SuiteResult> {
  const peer = pair.meshed;
  if (peer === undefined)
    throw new Error(`${pair.name} speaks no mutual TLS: the handshake suite needs a mesh`);
  const dns = `prober.conformance.serviceaccount.identity.${peer.controlPlaneNamespace}.${peer.trustDomain}`;
  const names = { dns, uri: `spiffe://${peer.trustDomain}/ns/conformance/sa/prober` };
  const stranger = await newAuthority("stranger");
  const good: Probe = {
    ...OFFER,
    serverName: peer.identity,
    alpn: [TRANSPORT_ALPN],
    credentials: await issue(peer.issuer, { ...names, days: 1 }),
    expect: { identity: peer.identity, anchorsPem: peer.trustAnchorsPem },
    talk: request(peer),
    tamper: {},
  };
  const around = {
    good,
    expired: await issue(peer.issuer, { ...names, days: -1 }),
    stranger: await issue(stranger, { ...names, days: 1 }),
    isMutualRequired: true,
    isAlpnRequired: true,
  };
  const proxyBefore = await pair.serverProxy?.();
  const cases: Case[] = [];
  for (const one of handshakeCases(around)) cases.push(judged(one, await attempt(pair, peer, one.probe)));
  const last = await attempt(pair, peer, good);
  const isSame = proxyBefore === (await pair.serverProxy?.());
  const isServed = last.type === "established" && last.answer.toString("latin1").startsWith("HTTP/1.1 200");
  cases.push({
    name: "after all of this the same proxy process serves a request",
    outcome: isSame && isServed ? "passed" : "failed",
    detail: `${isSame ? "same process" : "another process"}; ${describe(last)}`,
  });
  return { suite: "handshake", usual: () => "passed", never: [], least: CASES_LEAST, cases };
}

async function attempt(pair: Pair, peer: MeshedPeer, one: Probe): Promise<Outcome> {
  return probe(await pair.bystander.dial(peer.inbound), one);
}

export function judged({ name, want }: HandshakeCase, outcome: Outcome): Case {
  return { name, outcome: satisfies(outcome, want) ? "passed" : "failed", detail: describe(outcome) };
}

/** A transport header for the application's port with HTTP/1, then a request. */
function request(peer: MeshedPeer): Buffer {
  const port = BackendPort.http1;
  // transport.l5d.io.Header { int32 port = 1; SessionProtocol session_protocol = 3 { Http1 http1 = 1 } }
  const header = concat(u8(0x08), varint(port), Buffer.of(0x1a, 2, 0x0a, 0));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  const http = `GET / HTTP/1.1\r\nHost: ${peer.identity}\r\n\r\n`;
  return concat(Buffer.from(`${TRANSPORT_ALPN}\r\n\r\n`), length, header, Buffer.from(http));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.of(...bytes, rest);
}
