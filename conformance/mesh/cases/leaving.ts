/** Proxies that end, start again, and cannot write what they have to say. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { until } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, head, Wire } from "../wire.ts";
import type { HostileWorld } from "./hostile.ts";
import { load } from "./load.ts";
import { call, session } from "./streams.ts";

const LEAVE_MS_MAX = 40_000;

export function leaving(world: () => HostileWorld): void {
  describe("proxies that end", () => {
    test("a server's proxy that is told to stop tells its clients, finishes, and no request fails", async () => {
      const { mesh } = world();
      const address = { host: await mesh.ip("server-1"), port: AppPort.http };
      const kept = await Wire.to(mesh.place("outside-0"), address);
      kept.write(head("GET", "/", { Host: "kept" }));
      assert.equal((await kept.response()).headers.get("connection"), null);
      const streams = await session(mesh.place("outside-0"), { ...address, port: AppPort.h2c });
      let isTold = false;
      streams.on("goaway", () => (isTold = true));
      assert.equal((await call(streams, "Unary", ["before"])).status, "0");
      const pid = await mesh.proxyPid("server-1");
      const running = load(world());
      // Longer than the proxy waits to be removed from discovery, which does not happen here.
      kept.write(head("GET", "/slow/7000", { Host: "kept" }));
      process.kill(pid, "SIGTERM");
      const last = await kept.response();
      assert.deepEqual([last.status, last.headers.get("connection")], [200, "close"]);
      await until("an HTTP/2 client is told to go away", async () => isTold, LEAVE_MS_MAX);
      await until("the proxy ends", async () => !existsSync(`/proc/${pid}`), LEAVE_MS_MAX);
      const { asked, failed } = await running.stop();
      assert.ok(asked > 100, `only ${asked} requests were made`);
      assert.deepEqual(failed, []);
      kept.close();
      streams.destroy();
      await until("another proxy takes its place", async () => (await mesh.proxyPid("server-1")) !== pid);
    });

    test("a proxy whose log cannot be written starts and serves", async () => {
      const { mesh } = world();
      const pods = join(mesh.state, "pods");
      const dir = readdirSync(pods).find((name) => name.includes("server-1"));
      assert.ok(dir);
      const log = join(pods, dir, "linkerd-proxy.log");
      await rm(log);
      // Every write to it fails as on a full disk.
      await symlink("/dev/full", log);
      const pid = await mesh.proxyPid("server-1");
      process.kill(pid, "SIGKILL");
      const address = { host: await mesh.ip("server-1"), port: AppPort.http };
      const next = await until("another proxy starts", async () => {
        const found = await mesh.proxyPid("server-1");
        return found === pid ? undefined : found;
      });
      await until(
        "it serves",
        async () => (await fetchOnce(mesh.place("outside-0"), address)).status === 200,
      );
      for (let round = 0; round < 50; round += 1)
        assert.equal((await fetchOnce(mesh.place("outside-0"), address)).status, 200);
      assert.equal(await mesh.proxyPid("server-1"), next);
    });
  });
}
