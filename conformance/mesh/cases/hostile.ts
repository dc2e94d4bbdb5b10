/** Bad input and scarce resources: a clear error or a clean refusal, never a crash, a hang or a leak. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Address, Place } from "../../pair/pair.ts";
import { until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, head, Wire } from "../wire.ts";

const INBOUND_PORT = 4143;
const OUTBOUND_PORT = 4140;
const CONNECTIONS = 1_000;
const HOARD = 150;
const FILES_FEW = 64;
const RUN_MS_MAX = 60_000;
/** More than a proxy that has seen much may keep beyond one that has seen little. */
const GROWTH_KIB_MAX = 24 * 1024;
const GROWTH_FILES_MAX = 24;
const KEPT_MS_MAX = 30_000;
const OVERSIZED_BYTES = 1024 * 1024;

/** The meshed `caller-0`, the plain `outside-0` and the servers `server-0` and `server-1`. */
export interface HostileWorld {
  readonly mesh: TestMesh;
  readonly service: (port: number) => Address;
}

/** What a process holds, as the kernel counts it. */
function held(pid: number): { readonly files: number; readonly kib: number } {
  const [, kib = "NaN"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return { files: readdirSync(`/proc/${pid}/fd`).length, kib: Number(kib) };
}

/** A TLS record header and the beginning of a ClientHello (RFC 8446 §4 and §5.1), announcing more than comes. */
const CUT_HELLO = Buffer.concat([
  Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
  Buffer.alloc(32, 7),
  Buffer.from([0, 0, 2, 0x13, 1]),
]);
const CORRUPT: Readonly<Record<string, Buffer>> = {
  "random bytes": Buffer.concat([Buffer.from([0x80]), randomBytes(4_000)]),
  "a handshake record of garbage": Buffer.concat([Buffer.from([22, 3, 1, 1, 0]), Buffer.alloc(256, 0xff)]),
  "a record longer than TLS allows": Buffer.concat([
    Buffer.from([22, 3, 3, 0xff, 0xff]),
    randomBytes(70_000),
  ]),
  "a ClientHello that breaks off": CUT_HELLO,
  "an alert": Buffer.from([21, 3, 3, 0, 2, 2, 40]),
  "plain HTTP": Buffer.from(head("GET", "/", { Host: "x" })),
};

/** A request to an address that must not serve it: the status of the refusal, or that the connection was closed. */
async function refusal(place: Place, address: Address): Promise<string> {
  try {
    return String((await fetchOnce(place, address)).status);
  } catch (error) {
    // The kernel refuses what nobody listens on; a proxy closes what it will not carry.
    if (/no connection|ended before/.test(String(error))) return "closed";
    throw error;
  }
}

/** A program that opens and drops many connections, a few at a time. */
function flood({ host, port }: Address): string {
  return `const net = require("net"); let left = ${CONNECTIONS};
    const one = () => { if (left-- <= 0) return; const s = net.connect(${port}, ${JSON.stringify(host)});
    s.on("error", () => {}); s.on("connect", () => { s.write("GET / HT"); s.resetAndDestroy(); }); s.on("close", one); };
    for (let i = 0; i < 50; i += 1) one();`;
}

export function hostile(world: () => HostileWorld): void {
  const pods = ["caller-0", "server-0", "server-1"] as const;
  const pids = new Map<string, number>();
  const bases = new Map<string, ReturnType<typeof held>>();
  const idle: Wire[] = [];
  const ask = async (): Promise<number> =>
    (await fetchOnce(world().mesh.place("caller-0"), world().service(AppPort.http))).status;
  const inbound = async (port = INBOUND_PORT): Promise<Address> => ({
    host: await world().mesh.ip("server-0"),
    port,
  });
  const pidOf = (pod: string): number => pids.get(pod) ?? Number.NaN;

  describe("hostile input", () => {
    before(async () => {
      // What each proxy needs once, it has now.
      for (let round = 0; round < 50; round += 1) assert.equal(await ask(), 200);
      for (const pod of pods) {
        const pid = await world().mesh.proxyPid(pod);
        pids.set(pod, pid);
        bases.set(pod, held(pid));
      }
    });
    after(() => idle.forEach((wire) => wire.close()));

    for (const [what, bytes] of Object.entries(CORRUPT))
      test(`${what} on the inbound port ends that connection and nothing else`, async () => {
        const wire = await Wire.to(world().mesh.place("outside-0"), await inbound());
        wire.write(bytes);
        wire.socket.end();
        const answer = (await wire.ended()).toString("latin1");
        assert.doesNotMatch(answer, /x-replica/);
        assert.equal(await ask(), 200);
      });

    test("connections to a proxy's own ports are refused, from outside and from inside, and do not loop", async () => {
      const { mesh } = world();
      const own = await mesh.ip("caller-0");
      const tries: readonly (readonly [string, Address])[] = [
        ["outside-0", await inbound(OUTBOUND_PORT)],
        ["caller-0", { host: "127.0.0.1", port: OUTBOUND_PORT }],
        ["caller-0", { host: own, port: OUTBOUND_PORT }],
        ["caller-0", { host: "127.0.0.1", port: INBOUND_PORT }],
        ["caller-0", { host: own, port: INBOUND_PORT }],
      ];
      for (const [pod, address] of tries) {
        assert.match(
          await refusal(mesh.place(pod), address),
          /^(closed|5\d\d)$/,
          `${pod} to ${address.host}`,
        );
      }
      assert.equal(await ask(), 200);
    });

    test("a head that is too large is answered with 431, from meshed and plain clients", async () => {
      const { mesh, service } = world();
      const bytes = `GET / HTTP/1.1\r\nHost: x\r\nx-long: ${"x".repeat(OVERSIZED_BYTES)}\r\n\r\n`;
      for (const [pod, address] of [
        ["caller-0", service(AppPort.http)],
        ["outside-0", await inbound(AppPort.http)],
      ] as const) {
        const wire = await Wire.to(mesh.place(pod), address);
        wire.write(bytes);
        assert.equal((await wire.response()).status, 431);
        wire.close();
      }
    });

    test("a thousand connections that are opened and dropped leave nothing behind", async () => {
      const { mesh, service } = world();
      const floods = [
        ["caller-0", service(AppPort.http)],
        ["outside-0", await inbound()],
        ["outside-0", await inbound(AppPort.http)],
      ] as const;
      for (const [pod, address] of floods) {
        const ran = await mesh.place(pod).run(process.execPath, ["-e", flood(address)], RUN_MS_MAX);
        assert.equal(ran.code, 0, ran.stderr);
      }
      assert.equal(await ask(), 200);
    });

    test("peers that open a connection and say nothing hold up nobody", async () => {
      const { mesh, service } = world();
      for (let opened = 0; opened < 40; opened += 1) {
        const wire = await Wire.to(mesh.place("outside-0"), await inbound());
        if (opened % 2 === 1) wire.write(CUT_HELLO);
        idle.push(wire, await Wire.to(mesh.place("caller-0"), service(AppPort.http)));
      }
      for (let round = 0; round < 20; round += 1) assert.equal(await ask(), 200);
    });

    test("a proxy that runs out of descriptors refuses, lives, and serves again when there are some", async () => {
      const { mesh } = world();
      for (const wire of idle.splice(0)) wire.close();
      const pid = pidOf("server-0");
      const limit = (files: string) =>
        mesh.place("server-0").run("prlimit", [`--pid=${pid}`, `--nofile=${files}`], RUN_MS_MAX);
      const before = /Max open files\s+(\d+)/.exec(readFileSync(`/proc/${pid}/limits`, "utf8"))?.[1] ?? "";
      await until("descriptors are back", async () => held(pid).files < FILES_FEW, KEPT_MS_MAX);
      assert.equal((await limit(`${FILES_FEW}:`)).code, 0);
      const hoard = await Promise.all(
        Array.from({ length: HOARD }, async () =>
          Wire.to(mesh.place("outside-0"), await inbound(AppPort.http)),
        ),
      );
      for (const wire of hoard) wire.write("GET / HT");
      await until("no descriptor is left", async () => held(pid).files >= FILES_FEW - 1);
      for (const wire of hoard) wire.close();
      const plain = async (): Promise<number> =>
        (await fetchOnce(mesh.place("outside-0"), await inbound(AppPort.http))).status;
      await until("it serves with few descriptors", async () => (await plain()) === 200);
      assert.equal((await limit(`${before}:`)).code, 0);
      await until("it serves meshed callers", async () => (await ask()) === 200);
    });

    test("after all that the proxies are the same processes, with about what they held before", async () => {
      for (const pod of pods) {
        const pid = pidOf(pod);
        assert.ok(existsSync(`/proc/${pid}`), `the proxy of ${pod} has ended`);
        const base = bases.get(pod);
        assert.ok(base);
        await until(
          `the proxy of ${pod} gives back what it took`,
          async () => {
            const now = held(pid);
            const grown = { files: now.files - base.files, kib: now.kib - base.kib };
            assert.ok(grown.files <= GROWTH_FILES_MAX, `${grown.files} files more`);
            assert.ok(grown.kib <= GROWTH_KIB_MAX, `${grown.kib} KiB more`);
            return true;
          },
          KEPT_MS_MAX,
        );
      }
    });
  });
}
