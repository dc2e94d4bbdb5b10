/** Bytes that are no HTTP, through the pair. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import type { Address, Place } from "../../pair/pair.ts";
import { until, type TestMesh } from "../mesh.ts";
import { patterned, patternSha256 } from "../pattern.ts";
import { Wire } from "../wire.ts";

const TRANSFER_BYTES = 10 * 1024 * 1024;
/** Detection may take 10 s; a greeting that waits for it is late. */
const GREETING_MS_MAX = 3_000;

export interface TcpPath {
  readonly mesh: TestMesh;
  readonly client: Place;
  readonly opaque: Address;
  readonly detected: Address;
  readonly server: string;
}

export function tcp(path: () => TcpPath): void {
  const ports = {
    "an opaque port": () => path().opaque,
    "a port where protocols are detected": () => path().detected,
  };
  describe("TCP", () => {
    for (const [where, address] of Object.entries(ports)) {
      test(`on ${where} a server that speaks first is heard long before detection gives up`, async () => {
        const wire = await Wire.to(path().client, address());
        const began = performance.now();
        assert.equal(await wire.through("\n"), `220 ${path().server} is here\n`);
        const tookMs = performance.now() - began;
        assert.ok(tookMs < GREETING_MS_MAX, `the greeting took ${Math.round(tookMs)} ms`);
        wire.write("ping\n");
        assert.equal(await wire.through("\n"), "ping\n");
        wire.close();
      });
    }

    test("a client that has said everything still hears the rest", async () => {
      const wire = await Wire.to(path().client, path().opaque);
      wire.socket.end("all\n");
      const heard = (await wire.ended()).toString("latin1");
      const digest = createHash("sha256").update("all\n").digest("hex");
      assert.equal(heard, `220 ${path().server} is here\nall\nbye 4 ${digest}\n`);
    });

    test("a server that has said everything still hears the rest", async () => {
      const { mesh, server } = path();
      const wire = await Wire.to(path().client, path().opaque);
      wire.write("close\n");
      assert.match((await wire.ended()).toString("latin1"), /closing\n$/);
      wire.write("more after the end\n");
      wire.socket.end();
      const digest = createHash("sha256").update("close\nmore after the end\n").digest("hex");
      await until("the server hears the end", async () =>
        (await mesh.events(server)).includes(`bye 25 ${digest}`),
      );
    });

    test("10 MiB pass both ways at the same time, unchanged", async () => {
      const wire = await Wire.to(path().client, path().opaque);
      await wire.through("\n");
      for (const part of patterned(TRANSFER_BYTES)) wire.write(part);
      wire.socket.end();
      const body = await wire.exactly(TRANSFER_BYTES);
      assert.equal(createHash("sha256").update(body).digest("hex"), patternSha256(TRANSFER_BYTES));
      assert.equal(await wire.through("\n"), `bye ${TRANSFER_BYTES} ${patternSha256(TRANSFER_BYTES)}\n`);
    });
  });
}
