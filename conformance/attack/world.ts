/** The world that is attacked: a meshed caller and a meshed server, an outsider without a proxy, and credentials for all. */
import { readFileSync, readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issue } from "../handshake/credentials.ts";
import { host, TestMesh } from "../mesh/mesh.ts";
import { namespace, service } from "../mesh/objects.ts";
import { AppPort } from "../mesh/ports.ts";
import type { Place } from "../pair/pair.ts";

const CALLERS = "callers";
export const SERVERS = "servers";
const OUTSIDE = "outside";
const CONTROL_PLANE_NAMESPACE = "linkerd";
const DOMAIN = "cluster.local";
const INBOUND_PORT = 4143;
const PREFACE = "transport.l5d.io/v1\r\n\r\n";

/** One way to a listener, and the pods whose proxies carry what goes there. */
export interface Listener {
  readonly name: string;
  readonly from: Place;
  readonly host: string;
  readonly port: number;
  readonly mesh?: { readonly credentials: string; readonly serverName: string; readonly header: string };
}

/** What a process holds, as the kernel counts it. */
export interface Held {
  readonly kib: number;
  readonly files: number;
  readonly cpuMs: number;
}

/** Milliseconds of one tick of `/proc/PID/stat` (USER_HZ is 100 on every Linux that Node runs on). */
const TICK_MS = 10;

/** What process `pid` holds; throws when it has ended. */
export function held(pid: number): Held {
  const [, kib = "NaN"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  const cpuMs = (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  return { kib: Number(kib), files: readdirSync(`/proc/${pid}/fd`).length, cpuMs };
}

/** The header that asks a proxy for HTTP/2 on a port of its application, as hexadecimal digits. */
function transportHeader(port: number): string {
  const varint = [(port & 0x7f) | 0x80, port >> 7];
  // Field 1 is the port; field 3 the protocol, whose field 2 is HTTP/2.
  const message = Buffer.from([0x08, ...varint, 0x1a, 0x02, 0x12, 0x00]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([Buffer.from(PREFACE, "latin1"), length, message]).toString("hex");
}

function pem(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`;
}

/** The running world. */
export class World {
  readonly mesh: TestMesh;
  readonly #dir: string;

  private constructor(mesh: TestMesh, dir: string) {
    this.mesh = mesh;
    this.#dir = dir;
  }

  /** Starts it, with as many servers as asked for. */
  static async start(replicas = 1, more: readonly object[] = []): Promise<World> {
    const mesh = await TestMesh.start({
      clients: [
        { name: "caller", namespace: CALLERS },
        { name: "outside", namespace: OUTSIDE },
      ],
      servers: [{ name: "server", namespace: SERVERS, replicas }],
      more: [
        ...namespace(CALLERS, { isMeshed: true }),
        ...namespace(OUTSIDE, { isMeshed: false }),
        ...namespace(SERVERS, { isMeshed: true }),
        service("server", SERVERS, { app: "server", ports: Object.values(AppPort) }),
        ...more,
      ],
    });
    return new World(mesh, await mkdtemp(join(tmpdir(), "hb-attack-")));
  }

  async close(): Promise<void> {
    await this.mesh.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  get caller(): Place {
    return this.mesh.place("caller-0");
  }

  get outside(): Place {
    return this.mesh.place("outside-0");
  }

  /** The service as the meshed caller reaches it. */
  origin(port: number): string {
    return `http://${host("server", SERVERS)}:${port}`;
  }

  /** The pod as the outsider reaches it. */
  async podOrigin(port: number): Promise<string> {
    return `http://${await this.mesh.ip("server-0")}:${port}`;
  }

  /** The three ways to an HTTP/2 listener: the caller's own proxy, the server's in plain text, and the server's as a peer. */
  async listeners(port: number): Promise<readonly Listener[]> {
    const pod = await this.mesh.ip("server-0");
    const identity = `${SERVERS}.${SERVERS}.serviceaccount.identity.${CONTROL_PLANE_NAMESPACE}.${DOMAIN}`;
    return [
      { name: "outbound", from: this.caller, host: host("server", SERVERS), port },
      { name: "inbound plain", from: this.outside, host: pod, port },
      {
        name: "inbound mTLS",
        from: this.outside,
        host: pod,
        port: INBOUND_PORT,
        mesh: { credentials: await this.#credentials(), serverName: identity, header: transportHeader(port) },
      },
    ];
  }

  /** A file with a client certificate of the mesh. */
  async #credentials(): Promise<string> {
    const issuer = join(this.mesh.state, "identity", "issuer");
    const read = (name: string): Promise<string> => readFile(join(issuer, name), "utf8");
    const [certificate, privateKey] = [await read("crt.pem"), await read("key.pem")];
    const name = `attacker.${OUTSIDE}`;
    const leaf = await issue(
      { certificate, privateKey },
      {
        dns: `${name}.serviceaccount.identity.${CONTROL_PLANE_NAMESPACE}.${DOMAIN}`,
        uri: `spiffe://root.linkerd.${DOMAIN}/ns/${OUTSIDE}/sa/attacker`,
        days: 1,
      },
    );
    const file = join(this.#dir, "credentials.json");
    const ca = await read("ca-bundle.crt");
    await writeFile(
      file,
      JSON.stringify({ key: leaf.privateKeyPem, cert: leaf.chain.map(pem).join(""), ca }),
      {
        mode: 0o600,
      },
    );
    return file;
  }
}
