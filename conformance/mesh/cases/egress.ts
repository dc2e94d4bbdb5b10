/** What leaves the mesh: by Host, by server name, by port, or not at all. The YAML is that of the guide. */
import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { after, describe, test } from "node:test";
import { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import type { Address, Place } from "../../pair/pair.ts";
import { host, until, type TestMesh } from "../mesh.ts";
import { ANONYMOUS } from "../anonymous.ts";
import { guideBlocks } from "../guide.ts";
import { AppPort, OutsidePort } from "../ports.ts";
import { fetchOnce, Wire, type Response } from "../wire.ts";
import { call } from "./streams.ts";

export const SHOP = "shop";
/** Of TEST-NET-3 (RFC 5737). */
export const OUTSIDE_IP = "203.0.113.10";
const ALLOWED = "api.partner.example";
const CONNECTIONS = 80;

export interface EgressWorld {
  readonly mesh: TestMesh;
  readonly client: Place;
}

/** `encrypted_client_hello` (RFC 9849 §5). */
const ECH = 0xfe_0d;

const to = (port: number): Address => ({ host: OUTSIDE_IP, port });

export function egress(world: () => EgressWorld): void {
  const ask = async (
    named: string,
    path = "/v1/orders",
    port: number = OutsidePort.http,
  ): Promise<Response> => fetchOnce(world().client, to(port), { path, headers: { Host: named } });
  const statusOf = async (named: string, path?: string, port?: number): Promise<number> =>
    (await ask(named, path, port)).status;
  /** What the far end says over TLS, or how the connection ended. */
  const over = async (servername: string | undefined, port: number = OutsidePort.tls): Promise<string> => {
    const socket = await world().client.dial(to(port));
    const tls = connectTls({
      socket,
      rejectUnauthorized: false,
      ...ANONYMOUS,
      ...(servername === undefined ? {} : { servername }),
    });
    return text(tls).then(
      (said) => (said === "" ? "closed" : said.trim()),
      () => "closed",
    );
  };
  const raw = async (bytes: string | Uint8Array, port: number = OutsidePort.raw): Promise<string> => {
    const wire = await Wire.to(world().client, to(port));
    wire.write(bytes);
    wire.socket.end();
    const heard = await wire.ended().catch(() => Buffer.alloc(0));
    wire.close();
    return heard.toString("latin1");
  };
  const counted = (name: string, ...labels: readonly string[]): Promise<number> =>
    world().mesh.sum("buyer-0", name, ...labels);
  const network = `parent_kind="EgressNetwork",parent_name="internet",parent_namespace="${SHOP}"`;
  const parent = network.split(",");

  describe("egress", () => {
    const blocks = guideBlocks("egress");
    after(() => world().mesh.withdraw("egress"));
    const block = (mark: string): string => {
      const found = blocks.find((yaml) => yaml.includes(mark));
      if (found === undefined) throw new Error(`no YAML of the page has ${mark}`);
      return found;
    };

    /** Applies those blocks of the page that have the marks. */
    const write = (...marks: readonly string[]): Promise<void> =>
      world().mesh.applyYaml("egress", marks.map(block).join("---\n"));

    test("without an EgressNetwork everything leaves, and its address is counted", async () => {
      assert.equal(await statusOf("anybody.example"), 200);
      assert.equal(await over("anybody.example"), "outside as anybody.example");
      assert.equal(await raw("bytes"), "bytes");
      assert.ok((await counted("tcp_open_total", `target_addr="${OUTSIDE_IP}:${OutsidePort.raw}"`)) > 0);
    });

    test("a network that denies refuses HTTP with 403, and closes TLS and bytes", async () => {
      await write("kind: EgressNetwork\n");
      await until("HTTP is refused", async () => (await statusOf(ALLOWED)) === 403);
      assert.match((await ask(ALLOWED)).headers.get("l5d-proxy-error") ?? "", /EgressNetwork shop\/internet/);
      assert.equal(await over(ALLOWED), "closed");
      assert.equal(await raw("bytes"), "");
      assert.ok((await counted("outbound_http_errors_total", 'error="egress denied"')) > 0);
      assert.ok((await counted("outbound_tcp_errors_total", 'error="forbidden"')) > 0);
      assert.ok((await counted("outbound_tcp_route_close_total", 'error="forbidden"', ...parent)) > 0);
    });

    test("an HTTPRoute lets its host and path out, and nothing else", async () => {
      await write("kind: EgressNetwork\n", "name: partner-api");
      await until("the route allows", async () => (await statusOf(ALLOWED)) === 200);
      assert.equal((await ask(ALLOWED)).body.toString(), `outside for ${ALLOWED}/v1/orders`);
      for (const [named, path] of [
        ["other.example", "/v1/orders"],
        [ALLOWED, "/v2/orders"],
        [`x.${ALLOWED}`, "/v1/orders"],
      ] as const)
        assert.equal(await statusOf(named, path), 403, `${named}${path}`);
    });

    test("a Host that belongs to another connection is refused by its own code", async () => {
      const before = await counted("outbound_http_errors_total", 'error="egress host mismatch"');
      assert.equal(await statusOf("203.0.113.99"), 403);
      assert.equal(await statusOf(`${ALLOWED}:8080`), 403);
      const wire = await Wire.to(world().client, to(OutsidePort.http));
      wire.write("GET /v1/x HTTP/1.0\r\n\r\n");
      assert.equal((await wire.response()).status, 403);
      wire.close();
      const after = await counted("outbound_http_errors_total", 'error="egress host mismatch"');
      assert.equal(after - before, 3);
    });

    test("a GRPCRoute lets one method out", async () => {
      const socket = await world().client.dial(to(OutsidePort.grpc));
      const client = connectHttp2(`http://${ALLOWED}:${OutsidePort.grpc}`, {
        createConnection: () => socket,
      });
      client.on("error", () => undefined);
      try {
        assert.equal((await call(client, "Unary", ["1"])).status, "0");
        assert.notEqual((await call(client, "ServerStream", ["1"])).status, "0");
      } finally {
        client.destroy();
      }
    });

    test("a TLSRoute lets its names out, exact and below a wildcard, and no other connection", async () => {
      assert.equal(await over(ALLOWED), `outside as ${ALLOWED}`);
      assert.equal(await over("a.b.cdn.partner.example"), "outside as a.b.cdn.partner.example");
      for (const name of ["cdn.partner.example", "evil.example", `${ALLOWED}.evil.example`, undefined])
        assert.equal(await over(name), "closed", String(name));
      assert.equal(await raw("GET / HTTP/1.1\r\nHost: api.partner.example\r\n\r\n", OutsidePort.tls), "");
      const errors = await world().mesh.metrics("buyer-0");
      const seen = (error: string) =>
        errors.some(
          ({ name, labels }) =>
            name === "outbound_tls_route_close_total" &&
            labels.includes(`error="${error}"`) &&
            parent.every((label) => labels.includes(label)),
        );
      assert.deepEqual(["", "forbidden", "sni_missing", "tls_required"].map(seen), [true, true, true, true]);
    });

    test("a name that may be a cover for another is refused", async () => {
      const hello = await clientHello(ALLOWED);
      assert.notEqual(await raw(hello, OutsidePort.tls), "");
      assert.equal(await raw(disguised(hello), OutsidePort.tls), "");
      assert.ok((await counted("outbound_tls_route_close_total", 'error="sni_encrypted"')) > 0);
    });

    test("a TCPRoute lets every byte out at its port", async () => {
      assert.equal(await raw("any bytes"), "any bytes");
      assert.ok(
        (await counted("outbound_tcp_route_open_total", 'route_name="partner-database"', ...parent)) > 0,
      );
    });

    test("the host names of requests and connections are labels where they are asked for", async () => {
      const route = 'route_name="partner-api"';
      const name = "outbound_http_route_request_statuses_total";
      assert.ok((await counted(name, route, `hostname="${ALLOWED}"`, 'http_status="200"', ...parent)) > 0);
      assert.ok((await counted("outbound_tls_route_open_total", `hostname="${ALLOWED}"`)) > 0);
    });

    test("HTTP and TLS may share a port, each by its own routes", async () => {
      await write("kind: EgressNetwork\n", "name: both-http");
      await until("HTTP is let out", async () => (await statusOf(ALLOWED, "/", OutsidePort.both)) === 200);
      assert.equal(await statusOf("evil.example", "/", OutsidePort.both), 403);
      assert.equal(await raw(await clientHello(ALLOWED), OutsidePort.both), "TLS came\n");
      assert.equal(await raw(await clientHello("evil.example"), OutsidePort.both), "");
      assert.equal(await raw("\x01\x02\x03\x04", OutsidePort.both), "");
    });

    test("a TCPRoute of a Service spreads connections over all of its rules by weight", async () => {
      const { client } = world();
      await write("name: database-move");
      const replica = async (): Promise<string> => {
        const wire = await Wire.to(client, { host: host("database", SHOP), port: AppPort.opaque });
        const greeting = await wire.through("\n");
        wire.close();
        return greeting;
      };
      await until("the new one is greeted", async () => (await replica()).includes("database-new"));
      const greetings = await Promise.all(Array.from({ length: CONNECTIONS }, replica));
      const share = greetings.filter((greeting) => greeting.includes("database-new")).length / CONNECTIONS;
      // 3 of 4, within five standard deviations.
      assert.ok(share > 0.5 && share < 1, `${share} went to the new one`);
    });
  });
}

/** The first flight of a client that wants `servername`. */
async function clientHello(servername: string): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const socket = new Duplex({
    read: () => undefined,
    write: (part: Buffer, _encoding, done) => {
      resolve(part);
      done();
    },
  });
  connectTls({ socket, servername, rejectUnauthorized: false, ...ANONYMOUS }).on("error", () => undefined);
  const hello = await promise;
  socket.destroy();
  return hello;
}

/** The same hello, whose `extended_master_secret` (empty, and old) has become `encrypted_client_hello`. */
function disguised(hello: Buffer): Buffer {
  const copy = Buffer.from(hello);
  const at = copy.indexOf(Buffer.from([0, 23, 0, 0]));
  if (at < 0) throw new Error("the hello has no such extension");
  copy.writeUInt16BE(ECH, at);
  return copy;
}
