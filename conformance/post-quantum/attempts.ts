/** Handshakes with a proxy's inbound port, as a client that is honest, classical, or behind a stripping middlebox. */
import { once } from "node:events";
import { connect } from "node:tls";
import { z } from "zod";
import type { TestMesh } from "../mesh/mesh.ts";
import { stripping } from "./middlebox.ts";

const INBOUND_PORT = 4143;
const ALPN = "transport.l5d.io/v1";
const HANDSHAKE_MS_MAX = 10_000;

/** How the client comes. */
export type Way = "hybrid" | "classical" | "stripped";

/** What came of a handshake: the group that both ends agreed on, or why there is none. */
export type Attempt =
  | { readonly ok: true; readonly group: string }
  | { readonly ok: false; readonly why: string };

const KeyInfo = z.looseObject({ name: z.string().default("unknown") });

/** One handshake from `from` with the proxy of the pod at `ip`. */
export async function attempt(
  mesh: TestMesh,
  { from, ip, way }: { readonly from: string; readonly ip: string; readonly way: Way },
): Promise<Attempt> {
  const far = await mesh.place(from).dial({ host: ip, port: INBOUND_PORT });
  const socket = connect({
    socket: way === "stripped" ? stripping(far) : far,
    servername: "server.test",
    ALPNProtocols: [ALPN],
    minVersion: "TLSv1.3",
    ecdhCurve: way === "classical" ? "X25519" : "X25519MLKEM768:X25519",
    // Whether there is a handshake is the question; who serves is none.
    rejectUnauthorized: false,
  });
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(HANDSHAKE_MS_MAX) });
    const { name } = KeyInfo.parse(socket.getEphemeralKeyInfo());
    // Both ends have to have seen the end of it: the server counts once it has the client's last flight.
    socket.end();
    await once(socket, "close", { signal: AbortSignal.timeout(HANDSHAKE_MS_MAX) });
    return { ok: true, group: name };
  } catch (error) {
    return { ok: false, why: error instanceof Error ? error.message : String(error) };
  } finally {
    socket.on("error", () => undefined);
    socket.destroy();
    far.destroy();
  }
}

/** What the proxy counted of handshakes. */
export interface Counted {
  /** Established ones of a group without ML-KEM. */
  readonly classical: number;
  /** Refused ones: nothing in common. */
  readonly refused: number;
}

export async function counted(mesh: TestMesh, pod: string): Promise<Counted> {
  const samples = await mesh.metrics(pod);
  const sum = (name: string, isOne: (labels: string) => boolean): number =>
    samples
      .filter((one) => one.name === name && isOne(one.labels))
      .reduce((total, { value }) => total + value, 0);
  return {
    classical: sum(
      "hauberk_tls_connections_total",
      (labels) => labels.includes('direction="inbound"') && !labels.includes("MLKEM"),
    ),
    refused: sum("inbound_tcp_errors_total", (labels) => labels.includes('error="tls_incompatible"')),
  };
}
