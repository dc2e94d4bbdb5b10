import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { z } from "zod";
import { attempt, counted, type Way } from "../post-quantum/attempts.ts";
import { OUTSIDE, PREFERRING, REQUIRING, startWorld } from "../post-quantum/world.ts";
import { hauberk } from "../pair/mesh.ts";
import { host, until, type TestMesh } from "./mesh.ts";
import { AppPort } from "./ports.ts";

/** Handshakes through the middlebox in every run; the suite post-quantum makes 100 000 of them. */
const STRIPPED = 200;

let mesh: TestMesh;
before(async () => {
  mesh = await startWorld();
});
after(() => mesh.close());

const Report = z.looseObject({
  checks: z.array(z.looseObject({ id: z.string(), status: z.string(), findings: z.array(z.string()) })),
});
type Statuses = ReadonlyMap<string, string>;

/** The report on the mesh as it is, as an operator gets it. */
async function statuses(): Promise<Statuses> {
  const file = join(mesh.state, "report.json");
  const words = ["compliance", "report", "--state", mesh.state, "--format", "json", "--exempt", "outside"];
  await hauberk([...words, "-o", file]);
  const text = await readFile(file, "utf8");
  return new Map(Report.parse(JSON.parse(text)).checks.map(({ id, status }) => [id, status]));
}

const turned = (before: Statuses, after: Statuses): readonly string[] =>
  [...after].filter(([id, status]) => before.get(id) !== status).map(([id, status]) => `${id}: ${status}`);

async function ask(from: string, to: string): Promise<number> {
  const url = `http://${to}:${AppPort.http}/`;
  const args = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", url];
  return Number((await mesh.place(from).run("curl", args, 10_000)).stdout);
}

const shake = async (way: Way, pod: string) => attempt(mesh, { from: OUTSIDE, ip: await mesh.ip(pod), way });

let healthy: Statuses = new Map();

test("a mesh in which both ends of all traffic prove themselves has no fault in its traffic", async () => {
  for (const name of ["lax", "strict"]) {
    await until(`${name} answers`, async () => (await ask("alice-0", host(name, "servers"))) === 200);
  }
  healthy = await statuses();
  const good = [
    "traffic-encrypted",
    "traffic-authenticated",
    "tls-version",
    "post-quantum",
    "identity-required",
  ];
  assert.deepEqual(
    good.map((id) => `${id}: ${healthy.get(id)}`),
    good.map((id) => `${id}: satisfied`),
  );
  assert.equal(healthy.get("authorities-current"), "satisfied");
  assert.equal(healthy.get("images-signed"), "not-assessable", "no release was named");
});

test("who requires a post-quantum group refuses a classical peer and counts it; an honest one is served", async () => {
  const before = await counted(mesh, REQUIRING);
  assert.deepEqual(await shake("hybrid", REQUIRING), { ok: true, group: "X25519MLKEM768" });
  assert.equal((await shake("classical", REQUIRING)).ok, false);
  const now = await counted(mesh, REQUIRING);
  assert.equal(now.refused - before.refused, 1);
  assert.equal(now.classical, 0);
});

test("nobody on the way can take the post-quantum group out: no handshake ends with a classical one", async () => {
  for (const pod of [REQUIRING, PREFERRING]) {
    const before = await counted(mesh, pod);
    for (let made = 0; made < STRIPPED; made += 1) {
      assert.equal((await shake("stripped", pod)).ok, false);
    }
    const now = await counted(mesh, pod);
    assert.equal(now.classical, before.classical, pod);
    if (pod === REQUIRING) assert.equal(now.refused - before.refused, STRIPPED);
  }
});

test("one plaintext edge turns exactly what rests on encryption and identity", async () => {
  await mesh.apply("open", [
    {
      apiVersion: "policy.linkerd.io/v1beta3",
      kind: "Server",
      metadata: { name: "open", namespace: "servers" },
      spec: {
        podSelector: { matchLabels: { app: "lax" } },
        port: AppPort.http,
        proxyProtocol: "HTTP/1",
        accessPolicy: "all-unauthenticated",
      },
    },
  ]);
  const ip = await mesh.ip(PREFERRING);
  await until("the port is open", async () => (await ask(OUTSIDE, ip)) === 200);
  assert.deepEqual(turned(healthy, await statuses()).toSorted(), [
    "identity-required: not-satisfied",
    "traffic-authenticated: not-satisfied",
    "traffic-encrypted: not-satisfied",
  ]);
});

test("one classical peer turns the post-quantum check, too", async () => {
  const before = await statuses();
  assert.equal((await shake("classical", PREFERRING)).ok, true);
  assert.deepEqual(turned(before, await statuses()), ["post-quantum: not-satisfied"]);
});
