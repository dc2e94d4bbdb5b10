/** What the suites run against: a client and a server in two namespaces, each with a proxy, and a bystander without. */
import { connect, type Socket } from "node:net";
import { z } from "zod";

/** Ports on which the server pod's application listens. */
export const BackendPort = { h2c: 8080, grpc: 8081, http1: 8082 } as const;

const CONNECT_MS_MAX = 10_000;
const Ran = z.strictObject({ code: z.number(), stdout: z.string(), stderr: z.string(), reason: z.string() });
export type Ran = z.infer<typeof Ran>;

/** An address as seen from a pod. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A pod in which tools can be started and from which connections can be made. */
export class Place {
  /** Where the pod's agent listens. */
  readonly socket: string;

  constructor(socket: string) {
    this.socket = socket;
  }

  /** Runs a tool to its end. A tool that ends badly is an answer, not an exception. */
  async run(command: string, args: readonly string[], timeoutMs: number): Promise<Ran> {
    const socket = await this.#ask({ op: "run", command, args, timeoutMs });
    const parts: Buffer[] = [];
    for await (const part of socket) parts.push(z.instanceof(Buffer).parse(part));
    return Ran.parse(JSON.parse(Buffer.concat(parts).toString("utf8")));
  }

  /** Connects to an address from inside the pod. Both directions close on their own. */
  async dial({ host, port }: Address): Promise<Socket> {
    const socket = await this.#ask({ op: "tunnel", host, port });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let greeting = "";
    const listen = (): void => {
      for (let byte = z.instanceof(Buffer).nullable().parse(socket.read(1)); byte !== null;) {
        if (byte[0] === 0x0a) {
          socket.off("readable", listen);
          resolve(greeting);
          return;
        }
        greeting += byte.toString("latin1");
        byte = z.instanceof(Buffer).nullable().parse(socket.read(1));
      }
    };
    socket.on("readable", listen);
    socket.once("error", reject);
    socket.once("end", () => reject(new Error("the agent closed the tunnel")));
    const answer = await promise;
    socket.off("error", reject);
    if (answer !== "ok") throw new Error(`no connection to ${host}:${port}: ${answer}`);
    return socket;
  }

  async #ask(question: object): Promise<Socket> {
    const socket = connect({ path: this.socket, allowHalfOpen: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`${this.socket} does not answer`)), CONNECT_MS_MAX);
    socket.once("error", reject);
    socket.once("connect", () => resolve());
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
    socket.off("error", reject);
    socket.on("error", () => socket.destroy());
    socket.write(`${JSON.stringify(question)}\n`);
    return socket;
  }
}

/** One direct way into the server's inbound proxy, for suites that speak its TLS. */
export interface MeshedPeer {
  /** The proxy's inbound port on the pod's own address. */
  readonly inbound: Address;
  /** The name the proxy answers to. */
  readonly identity: string;
  readonly trustAnchorsPem: string;
  /** Issues a certificate for the prober: the mesh's issuer, as files. */
  readonly issuer: { readonly certificate: string; readonly privateKey: string };
  readonly trustDomain: string;
  readonly controlPlaneNamespace: string;
}

/** A running pair. */
export interface Pair {
  readonly name: string;
  /** Meshed: what it sends goes through its outbound proxy to the server's inbound one. */
  readonly client: Place;
  /** Not meshed: what it sends arrives in plain text at the server's inbound proxy. */
  readonly bystander: Place;
  /** Beside the server's application, for tools that take its place. */
  readonly server: Place;
  /** The server's application, as the client reaches it. */
  readonly service: (port: number) => Address;
  /** The server's pod, as the bystander reaches it. */
  readonly pod: (port: number) => Address;
  /** Where the raw backend is controlled. */
  readonly recorder: string;
  readonly meshed?: MeshedPeer;
  /** Process id of the proxy beside the server, where it is known: it must be the same at the end. */
  readonly serverProxy?: () => Promise<string>;
  close(): Promise<void>;
}
