import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { z } from "zod";

/** What a proxy shows to anyone who connects: TLS 1.3 servers send their certificate before they ask for one. */
export const ServerCertificate = z.object({
  /** The leaf and what lies between it and the anchor, as PEM. */
  chain: z.array(z.string()),
  protocol: z.string(),
  cipher: z.string(),
});
export type ServerCertificate = z.infer<typeof ServerCertificate>;

/** What mesh connections negotiate on a proxy's inbound port. */
const MESH_ALPN = "transport.l5d.io/v1";

/** Begins a handshake with a proxy, and leaves once it has seen the certificate. Nothing is verified here. */
export function seeCertificate(
  target: {
    readonly serverName: string;
    readonly timeoutMs: number;
  } & ({ readonly host: string; readonly port: number } | { readonly socket: Duplex }),
): Promise<ServerCertificate> {
  const { promise, resolve, reject } = Promise.withResolvers<ServerCertificate>();
  const socket = connect({
    ...("socket" in target ? { socket: target.socket } : { host: target.host, port: target.port }),
    servername: target.serverName,
    ALPNProtocols: [MESH_ALPN],
    minVersion: "TLSv1.3",
    // What is seen is shown and judged elsewhere; nothing is sent.
    rejectUnauthorized: false,
  });
  socket.setTimeout(target.timeoutMs, () => socket.destroy(new Error("timed out")));
  socket.on("error", reject);
  socket.on("secureConnect", () => {
    const chain: string[] = [];
    for (let one = socket.getPeerX509Certificate(); one !== undefined; one = one.issuerCertificate) {
      if (chain.includes(one.toString())) break;
      chain.push(one.toString());
    }
    resolve({ chain, protocol: socket.getProtocol() ?? "", cipher: socket.getCipher().standardName });
    socket.destroy();
  });
  socket.on("close", () => reject(new Error("the proxy closed the connection")));
  return promise;
}
