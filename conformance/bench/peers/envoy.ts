/**
 * Envoy as a static mTLS pair: TLS 1.3 only, X25519MLKEM768 first, no session resumption, one worker, HTTP/2 between the
 * two. Its configuration is JSON, which is YAML.
 */

import { join } from "node:path";
import { Address, RAW_PORTS, Takes } from "../peer.ts";
import type { Launch, Peer, Place } from "../peer.ts";

/** Envoy at `binary`. */
export function envoy(binary: string, version: string): Peer {
  return {
    name: "envoy",
    version,
    // Under valgrind it does not come up within a minute.
    scenarios: Takes.everything.filter((scenario) => scenario !== "instructions"),
    rawPorts: RAW_PORTS,
    launch: (place) => launch(binary, place),
  };
}

const ADMIN_PORT = 4191;
const TYPE = "type.googleapis.com/envoy.extensions";
/** Beyond any load of the benchmark: the defaults of 1024 would refuse connections. */
const UNLIMITED = 100_000;

type Json = Readonly<Record<string, unknown>>;

function launch(binary: string, place: Place): Launch {
  const file = join(place.folder, "envoy.json");
  return {
    command: [binary, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warn"],
    files: { [file]: JSON.stringify(configuration(place), undefined, 2) },
    ready: { port: ADMIN_PORT, path: "/ready" },
  };
}

function configuration(place: Place): Json {
  const isOutbound = place.role === "outbound";
  const own = isOutbound ? "127.0.0.1" : "0.0.0.0";
  const http = isOutbound ? Address.outboundPort : Address.inboundPort;
  const raw = isOutbound ? RAW_PORTS.outbound : RAW_PORTS.inbound;
  return {
    admin: { address: address("0.0.0.0", ADMIN_PORT) },
    static_resources: {
      listeners: [
        listener(place, {
          name: "http",
          at: address(own, http),
          filter: httpFilter(),
          alpn: ["h2", "http/1.1"],
        }),
        listener(place, { name: "raw", at: address(own, raw), filter: tcpFilter(), alpn: [] }),
      ],
      clusters: isOutbound
        ? [
            cluster(place, "http", address(Address.server, Address.inboundPort)),
            cluster(place, "raw", address(Address.server, RAW_PORTS.inbound)),
          ]
        : [
            cluster(place, "http", address("127.0.0.1", Address.httpPort)),
            cluster(place, "raw", address("127.0.0.1", Address.rawPort)),
          ],
    },
  };
}

function address(ip: string, port: number): Json {
  return { socket_address: { address: ip, port_value: port } };
}

function common({ certified }: Place, alpn: readonly string[], more: Json): Json {
  return {
    ...(alpn.length === 0 ? {} : { alpn_protocols: alpn }),
    tls_params: {
      tls_minimum_protocol_version: "TLSv1_3",
      tls_maximum_protocol_version: "TLSv1_3",
      ecdh_curves: ["X25519MLKEM768", "X25519"],
    },
    tls_certificates: [
      { certificate_chain: { filename: certified.certificate }, private_key: { filename: certified.key } },
    ],
    validation_context: { trusted_ca: { filename: certified.ca }, ...more },
  };
}

type Listening = {
  readonly name: string;
  readonly at: Json;
  readonly filter: Json;
  readonly alpn: readonly string[];
};

function listener(place: Place, { name, at, filter, alpn }: Listening): Json {
  const tls = {
    name: "tls",
    typed_config: {
      "@type": `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: true,
      disable_stateless_session_resumption: true,
      disable_stateful_session_resumption: true,
      common_tls_context: common(place, alpn, {}),
    },
  };
  const chain = { filters: [filter], ...(place.role === "inbound" ? { transport_socket: tls } : {}) };
  return { name, address: at, filter_chains: [chain] };
}

function httpFilter(): Json {
  const router = { name: "router", typed_config: { "@type": `${TYPE}.filters.http.router.v3.Router` } };
  const route = { match: { prefix: "/" }, route: { cluster: "http", timeout: "0s" } };
  return {
    name: "http",
    typed_config: {
      "@type": `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      codec_type: "AUTO",
      stat_prefix: "http",
      generate_request_id: false,
      route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [route] }] },
      http_filters: [router],
    },
  };
}

function tcpFilter(): Json {
  const typed = {
    "@type": `${TYPE}.filters.network.tcp_proxy.v3.TcpProxy`,
    stat_prefix: "tcp",
    cluster: "raw",
  };
  return { name: "tcp", typed_config: typed };
}

function cluster(place: Place, name: "http" | "raw", to: Json): Json {
  const limits = { max_connections: UNLIMITED, max_requests: UNLIMITED, max_pending_requests: UNLIMITED };
  return {
    name,
    type: "STATIC",
    connect_timeout: "1s",
    circuit_breakers: { thresholds: [limits] },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: to } }] }] },
    ...(name === "http" ? { typed_extension_protocol_options: upstreamProtocol(place) } : {}),
    ...(place.role === "outbound" ? { transport_socket: upstreamTls(place) } : {}),
  };
}

function upstreamProtocol({ role }: Place): Json {
  const same = { use_downstream_protocol_config: { http2_protocol_options: {} } };
  const http2 = { explicit_http_config: { http2_protocol_options: {} } };
  return {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
      ...(role === "outbound" ? http2 : same),
    },
  };
}

function upstreamTls(place: Place): Json {
  const exact = {
    match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: place.peerIdentity } }],
  };
  return {
    name: "tls",
    typed_config: {
      "@type": `${TYPE}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: place.peerIdentity,
      max_session_keys: 0,
      common_tls_context: common(place, [], exact),
    },
  };
}
