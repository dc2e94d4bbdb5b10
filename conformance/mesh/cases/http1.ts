/** HTTP/1 through client, outbound proxy, mTLS, inbound proxy and server, on the wire. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { z } from "zod";
import type { Address, Place } from "../../pair/pair.ts";
import { HINT } from "../app-streams.ts";
import { until, type TestMesh } from "../mesh.ts";
import { patterned, patternSha256 } from "../pattern.ts";
import { fetchOnce, head, Wire } from "../wire.ts";

const BODY_BYTES = 10 * 1024 * 1024;
const HEAD_BYTES = 64 * 1024;
const RUN_MS_MAX = 10_000;

/** What the application says of a request. */
export const Seen = z.object({
  replica: z.string(),
  method: z.string(),
  url: z.string(),
  version: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  socket: z.string(),
});
const Digest = z.object({ bytes: z.number(), sha256: z.string(), encoding: z.string(), said: z.string() });

/** What the tests of one protocol run against. */
export interface Path {
  readonly mesh: TestMesh;
  readonly client: Place;
  readonly address: Address;
  /** Pod of the server. */
  readonly server: string;
}

const parse = <T>(schema: z.ZodType<T>, body: Buffer): T => schema.parse(JSON.parse(body.toString("utf8")));
const sha256 = (body: Buffer): string => createHash("sha256").update(body).digest("hex");

function chunk(part: string | Buffer): Buffer {
  const bytes = Buffer.from(part);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

export function http1(path: () => Path): void {
  const open = (): Promise<Wire> => Wire.to(path().client, path().address);
  const host = (): string => path().address.host;

  describe("HTTP/1", () => {
    test("an HTTP/1.0 request without Host is answered and its connection ends", async () => {
      const wire = await open();
      wire.write("GET /old HTTP/1.0\r\n\r\n");
      const response = await wire.response();
      assert.equal(response.status, 200);
      assert.equal(parse(Seen, response.body).url, "/old");
      await wire.ended();
    });

    test("a connection is kept alive and used again, and one answer never takes another's place", async () => {
      const wire = await open();
      for (const name of ["a", "b", "c", "d"]) {
        wire.write(head("GET", `/${name}`, { Host: host() }));
        const response = await wire.response();
        assert.equal(response.headers.get("connection"), null);
        assert.equal(parse(Seen, response.body).url, `/${name}`);
      }
      wire.close();
    });

    test("pipelined requests are answered in their order, however long each takes", async () => {
      const wire = await open();
      const paths = ["/slow/300", "/1", "/slow/50", "/2"];
      wire.write(paths.map((one) => head("GET", one, { Host: host() })).join(""));
      const urls: string[] = [];
      for (const _ of paths) {
        const { body } = await wire.response();
        urls.push(z.object({ url: z.string().default("slow") }).parse(JSON.parse(body.toString())).url);
      }
      assert.deepEqual(urls, ["slow", "/1", "slow", "/2"]);
      wire.close();
    });

    test("chunked bodies pass both ways as they come, with trailers both ways", async () => {
      const wire = await open();
      wire.write(
        head("POST", "/echo", {
          Host: host(),
          "Transfer-Encoding": "chunked",
          Trailer: "x-said",
          TE: "trailers",
        }),
      );
      wire.write(chunk("first "));
      // The answer begins before the request has ended: nothing is held back.
      await wire.through("first ");
      wire.write(Buffer.concat([chunk("second"), Buffer.from("0\r\nx-said: the end\r\n\r\n")]));
      const rest = await wire.through("\r\n0\r\n");
      assert.match(rest, /second/);
      const trailers = await wire.through("\r\n\r\n");
      assert.match(trailers, /x-saw: the end\r\n/i);
      assert.match(trailers, new RegExp(`x-sha256: ${sha256(Buffer.from("first second"))}\r\n`, "i"));
      wire.close();
    });

    test("a client that expects 100-continue is asked for its body by the server, and the server gets it", async () => {
      const { mesh, server } = path();
      const asked = async (): Promise<number> =>
        (await mesh.events(server)).filter((event) => event === "100-continue asked").length;
      const before = await asked();
      const wire = await open();
      wire.write(head("POST", "/body", { Host: host(), Expect: "100-continue", "Content-Length": "4" }));
      assert.equal((await wire.response()).status, 100);
      wire.write("yes!");
      const response = await wire.response();
      assert.equal(response.status, 200);
      assert.deepEqual(JSON.parse(response.body.toString()), { body: "yes!" });
      assert.equal((await asked()) - before, 1);
      wire.close();
    });

    test("a server that refuses an expectation is heard, and no body is asked for", async () => {
      const wire = await open();
      wire.write(head("POST", "/refuse", { Host: host(), Expect: "100-continue", "Content-Length": "4" }));
      const response = await wire.response();
      assert.equal(response.status, 417);
      assert.equal(response.headers.get("connection"), "close");
      await wire.ended();
    });

    test("102 and 103 come through while the final response is awaited, and HTTP/1.0 is spared them", async () => {
      const wire = await open();
      wire.write(head("POST", "/hints", { Host: host(), "Content-Length": "4" }));
      assert.equal((await wire.response()).status, 102);
      const hint = await wire.response();
      assert.equal(hint.status, 103);
      assert.equal(hint.headers.get("link"), HINT);
      assert.equal(hint.headers.get("l5d-proxy-error"), null);
      wire.write("late");
      const response = await wire.response();
      assert.equal(response.status, 200);
      assert.deepEqual(JSON.parse(response.body.toString()), { body: "late" });
      wire.close();
      const old = await open();
      old.write("POST /hints HTTP/1.0\r\nContent-Length: 4\r\n\r\nlate");
      assert.equal((await old.response()).status, 200);
      await old.ended();
    });

    test("HEAD is answered with a length and no body, and the connection stays in step", async () => {
      const wire = await open();
      wire.write(head("HEAD", "/bytes/1000", { Host: host() }));
      const response = await wire.response("HEAD");
      assert.equal(response.headers.get("content-length"), "1000");
      wire.write(head("GET", "/after", { Host: host() }));
      assert.equal(parse(Seen, (await wire.response()).body).url, "/after");
      wire.close();
    });

    test("an answer that comes before the request has ended is passed on at once", async () => {
      const wire = await open();
      wire.write(head("POST", "/early", { Host: host(), "Content-Length": "1000000" }));
      wire.write("only a little");
      const response = await wire.response();
      assert.equal(response.status, 413);
      assert.equal(response.body.toString(), "early");
      wire.close();
    });

    test("Upgrade: websocket becomes a tunnel in both directions", async () => {
      const wire = await open();
      const upgrade = { Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Version": "13" };
      wire.write(
        head("GET", "/chat", { Host: host(), ...upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" }),
      );
      const response = await wire.response();
      assert.equal(response.status, 101);
      assert.equal(response.headers.get("upgrade"), "websocket");
      const frames = Buffer.from([0x81, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x00, 0xff, 0x0d, 0x0a]);
      for (let round = 0; round < 3; round += 1) {
        wire.write(frames);
        assert.deepEqual(await wire.exactly(frames.length), frames);
      }
      wire.close();
    });

    test("CONNECT is refused", async () => {
      const wire = await open();
      wire.write("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
      const { status } = await wire.response("GET");
      assert.ok(status >= 400 && status < 600, `answered ${status}`);
      wire.close();
    });

    test("a header of 64 KiB passes both proxies", async () => {
      const long = "x".repeat(HEAD_BYTES);
      const response = await fetchOnce(path().client, path().address, { headers: { "x-long": long } });
      assert.equal(response.status, 200);
      assert.equal(parse(Seen, response.body).headers["x-long"], long);
    });

    test("10 MiB pass each way unchanged, by length and by chunks", async () => {
      const wire = await open();
      wire.write(head("GET", `/bytes/${BODY_BYTES}`, { Host: host() }));
      const down = await wire.response();
      assert.equal(sha256(down.body), patternSha256(BODY_BYTES));
      wire.write(head("POST", "/digest", { Host: host(), "Content-Length": String(BODY_BYTES) }));
      for (const part of patterned(BODY_BYTES)) wire.write(part);
      const up = parse(Digest, (await wire.response()).body);
      assert.deepEqual([up.bytes, up.sha256], [BODY_BYTES, patternSha256(BODY_BYTES)]);
      wire.write(head("POST", "/echo", { Host: host(), "Transfer-Encoding": "chunked" }));
      for (const part of patterned(BODY_BYTES)) wire.write(chunk(part));
      wire.write("0\r\n\r\n");
      const echoed = await wire.response();
      assert.equal(sha256(echoed.body), patternSha256(BODY_BYTES));
      wire.close();
    });

    test("Connection: close from either side ends the connection after the answer", async () => {
      const asked = await open();
      asked.write(head("GET", "/x", { Host: host(), Connection: "close" }));
      assert.equal((await asked.response()).status, 200);
      await asked.ended();
      const told = await fetchOnce(path().client, path().address, { path: "/close" });
      assert.equal(told.status, 200);
    });

    test("a client that resets its connection ends its request at the server", async () => {
      const { mesh, server, client, address } = path();
      const request = head("GET", "/hang/h1", { Host: host() });
      const reset = `const s = require("net").connect(${address.port}, ${JSON.stringify(address.host)});
        s.write(${JSON.stringify(request)}); setTimeout(() => s.resetAndDestroy(), 1500);`;
      const run = client.run(process.execPath, ["-e", reset], RUN_MS_MAX);
      await until("the request arrives", async () => (await mesh.events(server)).includes("hang began h1"));
      assert.equal((await run).code, 0);
      await until("the request ends", async () => (await mesh.events(server)).includes("hang ended h1"));
    });
  });
}
