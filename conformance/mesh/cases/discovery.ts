/** Endpoints that leave, under load: how soon no request goes to them. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Place } from "../../pair/pair.ts";
import { host, until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { head, Wire } from "../wire.ts";

const REMOVALS = 20;
const WORKERS = 4;
/** The promise is a second at the 99th percentile; a busy machine may take longer, and no request ever this long. */
const REMOVED_MS_MAX = 5_000;
/** After a removal, time in which a late request would be seen. */
const QUIET_MS = 400;

/** What the tests run against: pods `api-0` to `api-2`, and a client in the mesh. */
export interface DiscoveryWorld {
  readonly mesh: TestMesh;
  readonly client: Place;
  readonly namespace: string;
}

/** A service whose endpoints are written by hand: these pods. */
function moving(
  namespace: string,
  pods: readonly (readonly [name: string, ip: string])[],
): readonly object[] {
  const port = { name: "http", port: AppPort.http, protocol: "TCP" };
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "moving", namespace },
      spec: { ports: [{ ...port, targetPort: AppPort.http }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "moving-1", namespace, labels: { "kubernetes.io/service-name": "moving" } },
      addressType: "IPv4",
      ports: [port],
      endpoints: pods.map(([name, ip]) => ({
        addresses: [ip],
        conditions: { ready: true },
        targetRef: { kind: "Pod", namespace, name },
      })),
    },
  ];
}

/** Asks again and again; tells when each pod answered last, and what went wrong. */
class Load {
  readonly failed: string[] = [];
  readonly lastMs = new Map<string, number>();
  asked = 0;
  readonly #stop = new AbortController();
  readonly #done: Promise<unknown>;

  constructor(client: Place, name: string) {
    this.#done = Promise.all(Array.from({ length: WORKERS }, () => this.#work(client, name)));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #work(client: Place, name: string): Promise<void> {
    const wire = await Wire.to(client, { host: name, port: AppPort.http });
    while (!this.#stop.signal.aborted) {
      this.asked += 1;
      wire.write(head("GET", "/", { Host: name }));
      const { status, headers } = await wire.response();
      if (status !== 200) this.failed.push(`${status} ${headers.get("l5d-proxy-error") ?? ""}`);
      this.lastMs.set(headers.get("x-replica") ?? "", performance.now());
    }
    wire.close();
  }
}

export function discovery(world: () => DiscoveryWorld): void {
  describe("discovery", () => {
    let pods: readonly (readonly [string, string])[] = [];
    before(async () => {
      const { mesh } = world();
      pods = await Promise.all(
        ["api-0", "api-1", "api-2"].map(async (pod) => [pod, await mesh.ip(pod)] as const),
      );
    });
    after(() => world().mesh.withdraw("moving"));

    test("an endpoint that is removed under load gets no request soon after, and no request fails", async (context) => {
      const { mesh, client, namespace } = world();
      const all = moving(namespace, pods);
      const fewer = moving(namespace, pods.slice(0, 2));
      await mesh.apply("moving", all);
      await until("the service is known", async () => {
        const wire = await Wire.to(client, { host: host("moving", namespace), port: AppPort.http });
        wire.write(head("GET", "/", { Host: "moving" }));
        const { status } = await wire.response();
        wire.close();
        return status === 200;
      });
      const load = new Load(client, host("moving", namespace));
      const lags: number[] = [];
      for (let at = 0; at < REMOVALS; at += 1) {
        const presentMs = performance.now();
        await until("the endpoint is used", async () => (load.lastMs.get("api-2") ?? 0) > presentMs);
        const removedMs = performance.now();
        await mesh.apply("moving", fewer);
        const isQuiet = async () =>
          performance.now() - Math.max(load.lastMs.get("api-2") ?? 0, removedMs) > QUIET_MS;
        await until("the endpoint is left alone", isQuiet, REMOVED_MS_MAX + QUIET_MS);
        lags.push(Math.max(0, (load.lastMs.get("api-2") ?? 0) - removedMs));
        await mesh.apply("moving", all);
        await sleep(20);
      }
      await load.stop();
      lags.sort((a, b) => a - b);
      const [median = 0, most = 0] = [lags[REMOVALS / 2], lags.at(-1)];
      context.diagnostic(
        `${lags.filter((lag) => lag <= 1_000).length} of ${REMOVALS} removals within a second, over ${load.asked} requests: median ${median.toFixed(0)} ms, slowest ${most.toFixed(0)} ms`,
      );
      assert.deepEqual(load.failed, []);
      assert.ok(most < REMOVED_MS_MAX, `${most} ms`);
    });

    test("the proxy tells the version of what it knows, and that its endpoints are those of the control plane", async () => {
      const { mesh } = world();
      const target = `target="${host("moving", world().namespace)}:${AppPort.http}"`;
      for (const kind of ["endpoints", "inbound", "outbound"]) {
        const pod = kind === "inbound" ? "api-0" : "alice-0";
        const labels = kind === "endpoints" ? [`kind="${kind}"`, target] : [`kind="${kind}"`];
        assert.ok((await mesh.sum(pod, "hauberk_discovery_version", ...labels)) > 0, kind);
      }
      const mismatches = await mesh.metrics("alice-0");
      const found = mismatches.find(({ name }) => name === "hauberk_discovery_digest_mismatches_total");
      assert.equal(found?.value, 0);
    });

    test("without the control plane the age of what is known grows, and with it again it is none", async () => {
      const { mesh, client, namespace } = world();
      const target = `target="${host("moving", namespace)}:${AppPort.http}"`;
      const age = (): Promise<number> => mesh.sum("alice-0", "hauberk_discovery_age_seconds", target);
      const connected = (kind: string): Promise<number> =>
        mesh.sum("alice-0", "hauberk_discovery_connected", `kind="${kind}"`);
      const keep = setInterval(() => {
        // What nobody asks for is forgotten.
        Wire.to(client, { host: host("moving", namespace), port: AppPort.http })
          .then((wire) => wire.close())
          .catch(() => undefined);
      }, 200);
      try {
        assert.deepEqual([await age(), await connected("destination")], [0, 1]);
        const pid = mesh.controllerPid();
        process.kill(pid, "SIGKILL");
        let most = 0;
        await until("the age has grown, and another control plane answers", async () => {
          const now = await age();
          most = Math.max(most, now);
          return most > 0 && now === 0 && (await connected("destination")) === 1;
        });
        assert.ok(most > 0);
      } finally {
        clearInterval(keep);
      }
    });
  });
}
