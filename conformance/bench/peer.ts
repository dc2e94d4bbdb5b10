/** What is measured: a kind of proxy, as a pair beside a client and a server. */

import type { AuthorityFiles, Certified, Role } from "./certificates.ts";
import type { ScenarioName } from "./results.ts";
import type { Command } from "./sandbox.ts";

/** Addresses of the topology. */
export const Address = {
  client: "10.244.0.2",
  server: "10.244.0.3",
  /** The service's cluster address. Nothing has it: only a proxy makes it lead anywhere. */
  cluster: "10.96.0.10",
  httpPort: 8080,
  rawPort: 8081,
  outboundPort: 4140,
  inboundPort: 4143,
} as const;

/** The authority of requests. */
export const AUTHORITY = `echo.bench.svc.cluster.local:${Address.httpPort}`;

/** The user the proxies run as, which is how the redirection knows them. */
export const PROXY_UID = 2102;

/** What a proxy of the pair is given. */
export type Place = {
  readonly role: Role;
  /** A folder of its own, which it may write to. */
  readonly folder: string;
  readonly certified: Certified;
  /** The identity of the other end. */
  readonly peerIdentity: string;
  readonly authority: AuthorityFiles;
};

/** How to run one proxy. */
export type Launch = {
  readonly command: Command;
  readonly env?: NodeJS.ProcessEnv;
  /** Files to write first, by path. */
  readonly files?: Readonly<Record<string, string>>;
  /** When it is ready: a port that listens, or a path that answers 200. */
  readonly ready: { readonly port: number; readonly path?: string };
};

/** A kind of proxy. */
export type Peer = {
  readonly name: string;
  readonly version: string;
  readonly scenarios: readonly ScenarioName[];
  /** Ports for the opaque service, where the proxy cannot tell the original destination by itself. */
  readonly rawPorts?: { readonly outbound: number; readonly inbound: number };
  readonly launch: (place: Place) => Launch;
  /** What must run beside the proxy first, and is not measured: its control plane. */
  readonly beside?: (place: Place) => Launch;
};

const HTTP1_ONLY: readonly ScenarioName[] = ["rate", "h1", "idle", "idle5k", "close", "cold", "instructions"];
const EVERYTHING: readonly ScenarioName[] = [
  "rate",
  "rateh2",
  "rategrpc",
  "h1",
  "h2",
  "grpc",
  "down",
  "up",
  "conn",
  "idle",
  "idle5k",
  "close",
  "cold",
  "instructions",
];

/** What a peer can take part in. */
export const Takes = {
  everything: EVERYTHING,
  http1: HTTP1_ONLY,
  /** What makes sense without a proxy. */
  direct: EVERYTHING.filter(
    (scenario) => !["idle", "idle5k", "close", "cold", "instructions"].includes(scenario),
  ),
} as const;

/** The ports for the opaque service of peers that have no original destination. */
export const RAW_PORTS = { outbound: 4150, inbound: 4153 } as const;
