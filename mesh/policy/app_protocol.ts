/** What `appProtocol` of a service port says of its traffic. Pure. */

/** How a client treats connections to a port. */
export type Protocol = "detect" | "opaque" | "http1" | "http2";

/**
 * The registered values (KEP-3726 and the IANA service names) that decide something. TLS that the application began
 * itself, and protocols whose server speaks first, are carried as they are.
 */
const PROTOCOLS: ReadonlyMap<string, Protocol> = new Map([
  ["http", "http1"],
  ["kubernetes.io/ws", "http1"],
  ["kubernetes.io/h2c", "http2"],
  ["h2c", "http2"],
  ["http2", "http2"],
  ["grpc", "http2"],
  ["https", "opaque"],
  ["tls", "opaque"],
  ["kubernetes.io/wss", "opaque"],
  ["linkerd.io/tls", "opaque"],
  ["linkerd.io/tcp", "opaque"],
  ["linkerd.io/opaque", "opaque"],
  ["tcp", "opaque"],
  ["smtp", "opaque"],
  ["mysql", "opaque"],
  ["postgresql", "opaque"],
  ["redis", "opaque"],
  ["mongodb", "opaque"],
  ["amqp", "opaque"],
]);

/** Whether the value decides something; `check` warns of others. */
export function isKnownAppProtocol(appProtocol: string): boolean {
  return PROTOCOLS.has(appProtocol.toLowerCase());
}

/** An unknown value says nothing, so the traffic is looked at; making it opaque would switch HTTP policy off. */
export function protocolOf(appProtocol: string | undefined): Protocol {
  return PROTOCOLS.get(appProtocol?.toLowerCase() ?? "") ?? "detect";
}
