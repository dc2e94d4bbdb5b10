/** HAProxy as a static mTLS pair. Its OpenSSL decides the group: Debian 12's has no ML-KEM. */

import { join } from "node:path";
import { Address, RAW_PORTS, Takes } from "../peer.ts";
import type { Launch, Peer, Place } from "../peer.ts";

/** HAProxy at `binary`, whose libraries may be beside it in `libraries`. */
export function haproxy(binary: string, version: string, libraries: string | undefined): Peer {
  return {
    name: "haproxy",
    version,
    scenarios: Takes.everything,
    rawPorts: RAW_PORTS,
    launch: (place) => launch(binary, libraries, place),
  };
}

function launch(binary: string, libraries: string | undefined, place: Place): Launch {
  const file = join(place.folder, "haproxy.cfg");
  const role = place.role === "outbound" ? outbound(place) : inbound(place);
  return {
    command: [binary, "-db", "-f", file],
    ...(libraries === undefined ? {} : { env: { LD_LIBRARY_PATH: libraries } }),
    files: { [file]: `${GLOBAL}${role}` },
    ready: { port: place.role === "outbound" ? Address.outboundPort : Address.inboundPort },
  };
}

const GLOBAL = `global
    nbthread 1
    maxconn 9000
    tune.ssl.default-dh-param 2048
defaults
    timeout connect 1s
    timeout client 10m
    timeout server 10m
    timeout http-keep-alive 10m
    http-reuse always
`;

function outbound({ certified, peerIdentity }: Place): string {
  const server = (port: number, more: string): string =>
    `    server s ${Address.server}:${port} ssl crt ${certified.both} ca-file ${certified.ca} verify required ` +
    `verifyhost ${peerIdentity} sni str(${peerIdentity}) ssl-min-ver TLSv1.3 no-ssl-reuse${more}\n`;
  return `frontend http
    mode http
    bind 127.0.0.1:${Address.outboundPort}
    default_backend http
frontend raw
    mode tcp
    bind 127.0.0.1:${RAW_PORTS.outbound}
    default_backend raw
backend http
    mode http
${server(Address.inboundPort, " alpn h2")}backend raw
    mode tcp
${server(RAW_PORTS.inbound, "")}`;
}

function inbound({ certified }: Place): string {
  const tls = `ssl crt ${certified.both} ca-file ${certified.ca} verify required ssl-min-ver TLSv1.3 no-tls-tickets`;
  return `frontend http
    mode http
    bind 0.0.0.0:${Address.inboundPort} ${tls} alpn h2,http/1.1
    use_backend grpc if { req.hdr(content-type) -m beg application/grpc }
    default_backend http
frontend raw
    mode tcp
    bind 0.0.0.0:${RAW_PORTS.inbound} ${tls}
    default_backend raw
backend http
    mode http
    server s 127.0.0.1:${Address.httpPort}
backend grpc
    mode http
    server s 127.0.0.1:${Address.httpPort} proto h2
backend raw
    mode tcp
    server s 127.0.0.1:${Address.rawPort}
`;
}
