/** nginx as a static mTLS pair, HTTP/1.1 between the two: it has no HTTP/2 to upstreams. */

import { join } from "node:path";
import { Address, Takes } from "../peer.ts";
import type { Launch, Peer, Place } from "../peer.ts";

/** nginx at `binary`. */
export function nginx(binary: string, version: string): Peer {
  return { name: "nginx", version, scenarios: Takes.http1, launch: (place) => launch(binary, place) };
}

function launch(binary: string, place: Place): Launch {
  const file = join(place.folder, "nginx.conf");
  return {
    command: [binary, "-p", place.folder, "-c", file],
    files: { [file]: place.role === "outbound" ? outbound(place) : inbound(place) },
    ready: { port: place.role === "outbound" ? Address.outboundPort : Address.inboundPort },
  };
}

function outbound(place: Place): string {
  const { certified, peerIdentity } = place;
  const tls = `proxy_ssl_certificate ${certified.certificate};
      proxy_ssl_certificate_key ${certified.key};
      proxy_ssl_trusted_certificate ${certified.ca};
      proxy_ssl_verify on;
      proxy_ssl_verify_depth 2;
      proxy_ssl_name ${peerIdentity};
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_session_reuse off;`;
  const listen = `listen 127.0.0.1:${Address.outboundPort} backlog=4096;`;
  return configuration(place, {
    listen,
    upstream: `${Address.server}:${Address.inboundPort}`,
    scheme: "https",
    tls,
  });
}

function inbound(place: Place): string {
  const { certified } = place;
  const listen = `listen 0.0.0.0:${Address.inboundPort} ssl backlog=4096;
    ssl_certificate ${certified.certificate};
    ssl_certificate_key ${certified.key};
    ssl_client_certificate ${certified.ca};
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    ssl_session_cache off;`;
  return configuration(place, { listen, upstream: `127.0.0.1:${Address.httpPort}`, scheme: "http", tls: "" });
}

type Parts = {
  readonly listen: string;
  readonly upstream: string;
  readonly scheme: string;
  readonly tls: string;
};

function configuration({ folder }: Place, { listen, upstream, scheme, tls }: Parts): string {
  return `daemon off;
master_process off;
worker_processes 1;
pid ${folder}/pid;
error_log stderr warn;
worker_rlimit_nofile 65536;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path ${folder}/b;
  proxy_temp_path ${folder}/p;
  fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u;
  scgi_temp_path ${folder}/s;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream u {
    server ${upstream};
    keepalive 512;
    keepalive_requests 1000000000;
  }
  server {
    ${listen}
    location / {
      proxy_pass ${scheme}://u;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      ${tls}
    }
  }
}
`;
}
