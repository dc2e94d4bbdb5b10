import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { hauberk } from "../pair/mesh.ts";
import { load } from "./cases/load.ts";
import { host, TestMesh, until } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { SERVERS } from "./policy-objects.ts";
import { AppPort } from "./ports.ts";
import { head, Wire } from "./wire.ts";

const ports = Object.values(AppPort);
const INBOUND_PORT = 4143;
const SERVER = `${SERVERS}.${SERVERS}.serviceaccount.identity.linkerd.cluster.local`;
/** When the control plane is killed: while the new root is introduced, and while certificates are renewed. */
const KILLED_AFTER_MS = [3_000, 12_000];
const ROTATED_S_MAX = 150;

let mesh: TestMesh;
before(async () => {
  mesh = await TestMesh.start({
    clients: [
      { name: "caller", namespace: "callers", account: "caller" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [{ name: "server", namespace: SERVERS, replicas: 2 }],
    more: [
      ...namespace("callers", { isMeshed: true, accounts: ["caller"] }),
      ...namespace("outside", { isMeshed: false }),
      ...namespace(SERVERS, { isMeshed: true }),
      service("server", SERVERS, { app: "server", ports }),
    ],
  });
});
after(() => mesh.close());

/** The bundles that a pod's proxy tells to have in force: one. */
async function bundles(pod: string): Promise<readonly string[]> {
  const samples = await mesh.metrics(pod);
  return samples.filter(({ name }) => name === "hauberk_trust_bundle").map(({ labels }) => labels);
}

/** Whether the server's proxy proves itself under the roots in `ca`. */
async function isTrusted(ca: string): Promise<boolean> {
  const socket = await mesh.place("outside-0").dial({ host: await mesh.ip("server-0"), port: INBOUND_PORT });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const tls = connect({ socket, ca, servername: SERVER, checkServerIdentity: () => undefined });
  tls.once("secureConnect", () => resolve(tls.authorized));
  tls.once("error", () => resolve(false));
  const answer = await promise;
  tls.destroy();
  return answer;
}

function controllerPid(): number | undefined {
  try {
    return mesh.controllerPid();
  } catch {
    // Between its end and its start.
    return undefined;
  }
}

test("the root is replaced under load, amid kills of the control plane: no request fails, nothing restarts (B-02, G14)", async () => {
  const bundle = () => readFile(join(mesh.state, "identity", "issuer", "ca-bundle.crt"), "utf8");
  const pods = ["caller-0", "server-0", "server-1"];
  const [oldRoots, oldBundles] = [await bundle(), await Promise.all(pods.map(bundles))];
  const pids = await Promise.all(pods.map((pod) => mesh.proxyPid(pod)));
  assert.ok(await isTrusted(oldRoots));
  const address = { host: host("server", SERVERS), port: AppPort.http };
  const kept = await Wire.to(mesh.place("caller-0"), address);
  kept.write(head("GET", "/", { Host: "kept" }));
  assert.equal((await kept.response()).status, 200);

  const running = load({ mesh, service: (port) => ({ host: host("server", SERVERS), port }) });
  const rotating = hauberk(["trust", "rotate", "--state", mesh.state, "--timeout", String(ROTATED_S_MAX)]);
  for (const ms of KILLED_AFTER_MS) {
    await sleep(ms);
    const pid = await until("a control plane", async () => controllerPid());
    process.kill(pid, "SIGKILL");
    await until("another one", async () => {
      const now = controllerPid();
      return now !== undefined && now !== pid;
    });
  }
  await rotating;
  const { asked, failed } = await running.stop();
  assert.ok(asked > 1_000, `only ${asked} requests were made`);
  assert.deepEqual(failed, []);

  const newRoots = await bundle();
  assert.notEqual(newRoots, oldRoots);
  assert.deepEqual([await isTrusted(oldRoots), await isTrusted(newRoots)], [false, true]);
  const newBundles = await Promise.all(pods.map(bundles));
  assert.equal(new Set(newBundles.flat()).size, 1, "every proxy has the same bundle");
  assert.notDeepEqual(newBundles, oldBundles);
  assert.deepEqual(await Promise.all(pods.map((pod) => mesh.proxyPid(pod))), pids);
  // A connection from before is still good.
  kept.write(head("GET", "/", { Host: "kept" }));
  assert.equal((await kept.response()).status, 200);
  kept.close();
});
