import assert from "node:assert/strict";
import { mkdtemp, rename, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { GrpcClient, RpcFailure } from "../api/client.ts";
import { Destination, type Update } from "../api/gen/destination_pb.ts";
import { InboundServerPolicies } from "../api/gen/inbound_pb.ts";
import {
  OutboundPolicies,
  type HttpRoute_RouteBackend,
  type OutboundPolicy,
} from "../api/gen/outbound_pb.ts";
import { bitsOfWireIp } from "../api/wire.ts";
import { formatIp } from "../model/address.ts";
import { clusterIpFor } from "../source/manifests/cluster_ip.ts";
import { parseConfig } from "./config.ts";
import { startController } from "./controller.ts";

/** Requirement S0-09, verbatim. */
const CANARY = `apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {name: payments-canary, namespace: prod}
spec:
  parentRefs: [{name: payments, kind: Service, group: core, port: 8080}]
  rules:
  - backendRefs:
    - {name: payments-stable, port: 8080, weight: 90}
    - {name: payments-canary, port: 8080, weight: 10}
`;

const SERVICES = ["payments", "payments-stable", "payments-canary"]
  .map(
    (name) => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: prod}
spec:
  selector: {app: ${name}}
  ports: [{port: 8080, targetPort: http}]
`,
  )
  .join("---\n");

function pod(name: string, ip: string, ready: boolean): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "prod",
      uid: name,
      labels: {
        app: "payments",
        "linkerd.io/control-plane-ns": "linkerd",
        "linkerd.io/proxy-deployment": "payments",
      },
    },
    spec: {
      serviceAccountName: "payments",
      containers: [{ name: "app", ports: [{ name: "http", containerPort: 9000 }] }],
    },
    status: { podIP: ip, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  });
}

async function running(t: TestContext, files: Readonly<Record<string, string>>) {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-controller-"));
  const write = async (name: string, text: string) => {
    await writeFile(join(dir, `.${name}`), text);
    await rename(join(dir, `.${name}`), join(dir, name));
  };
  for (const [name, text] of Object.entries(files)) await write(name, text);
  const listen = ["destination", "policy", "identity", "admin"].flatMap((role) => [
    `--${role}-listen`,
    "127.0.0.1:0",
  ]);
  const controller = await startController(parseConfig(["--manifests", dir, ...listen], {}), () => undefined);
  const destination = new GrpcClient(`http://127.0.0.1:${controller.ports.destination}`);
  const policy = new GrpcClient(`http://127.0.0.1:${controller.ports.policy}`);
  t.after(async () => {
    destination.close();
    policy.close();
    await controller.close(0);
    await rm(dir, { recursive: true, force: true });
  });
  const admin = async (path: string): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${controller.ports.admin}${path}`)).json();
  return { destination, policy, admin, write, remove: (name: string) => unlink(join(dir, name)) };
}

const signal = AbortSignal.timeout(30_000);

function describeUpdate({ update }: Update): string {
  switch (update.case) {
    case "add":
    case "remove": {
      const addrs = "addrs" in update.value ? update.value.addrs : [];
      const texts = addrs.map((entry) => {
        const addr = "addr" in entry ? entry.addr : entry;
        const ip = addr !== undefined && "port" in addr ? bitsOfWireIp(addr.ip) : undefined;
        return ip === undefined
          ? "?"
          : `${formatIp(ip)}:${addr !== undefined && "port" in addr ? addr.port : 0}`;
      });
      return `${update.case} ${texts.join(" ")}`;
    }
    case "noEndpoints":
      return `none exists=${update.value.exists}`;
    case undefined:
      return "nothing";
  }
}

function nameOf(backend: HttpRoute_RouteBackend | undefined): string {
  const value = backend?.backend?.metadata?.kind.value;
  return typeof value === "object" && value !== null && "name" in value ? value.name : "?";
}

/** Weight by backend of the first rule, or the one backend. */
function weights({ protocol }: OutboundPolicy): string {
  const kind = protocol?.kind;
  if (kind?.case !== "detect") return kind?.case ?? "none";
  const distribution = kind.value.http1?.routes[0]?.rules[0]?.backends?.kind;
  switch (distribution?.case) {
    case "randomAvailable":
      return distribution.value.backends
        .map(({ weight, backend }) => `${nameOf(backend)}=${weight}`)
        .join(" ");
    case "firstAvailable":
      return distribution.value.backends.map((backend) => nameOf(backend)).join(" ");
    case "empty":
    case undefined:
      return "empty";
  }
}

async function next<T>(stream: AsyncGenerator<T, void>): Promise<T> {
  const { value, done } = await stream.next();
  if (done === true || value === undefined) throw new Error("the stream ended");
  return value;
}

test("endpoints follow the files: readiness, replacement, no endpoints, deletion", async (t) => {
  const { destination, write, remove } = await running(t, {
    "services.yaml": SERVICES,
    "a.json": pod("a", "10.1.0.1", true),
  });
  const path = "payments.prod.svc.cluster.local:8080";
  const updates = destination.stream(Destination.method.get, { path }, signal);
  const first = await next(updates);
  assert.equal(describeUpdate(first), "add 10.1.0.1:9000");
  const addr = first.update.case === "add" ? first.update.value.addrs[0] : undefined;
  const identity = addr?.tlsIdentity?.strategy;
  assert.equal(
    identity?.case === "dnsLikeIdentity" ? identity.value.name : "",
    "payments.prod.serviceaccount.identity.linkerd.cluster.local",
  );
  assert.equal(addr?.protocolHint?.protocol.case, "h2");
  assert.equal(addr?.protocolHint?.opaqueTransport?.inboundPort, 4143);
  assert.equal(addr?.metricLabels["deployment"], "payments");
  await write("b.json", pod("b", "10.1.0.2", true));
  assert.equal(describeUpdate(await next(updates)), "add 10.1.0.2:9000");
  await write("a.json", pod("a", "10.1.0.1", false));
  assert.equal(describeUpdate(await next(updates)), "remove 10.1.0.1:9000");
  await remove("b.json");
  assert.equal(describeUpdate(await next(updates)), "none exists=true");
  await remove("services.yaml");
  assert.equal(describeUpdate(await next(updates)), "none exists=false");
});

test("Get refuses addresses and unknown services as its clients expect", async (t) => {
  const { destination } = await running(t, { "services.yaml": SERVICES });
  const code = async (path: string) => {
    try {
      await next(destination.stream(Destination.method.get, { path }, signal));
      return 0;
    } catch (error) {
      return error instanceof RpcFailure ? error.code : -1;
    }
  };
  assert.equal(await code("10.0.0.1:80"), 3);
  assert.equal(await code("example.com:80"), 3);
  assert.equal(await code("nothing.prod.svc.cluster.local:80"), 5);
  assert.equal(await code("payments.prod.svc.cluster.local.:8080"), 0);
});

test("S0-09 and S0-10: the canary splits 90/10, follows edits, rolls back on deletion, and survives a wrong edit", async (t) => {
  const { policy, admin, write, remove } = await running(t, {
    "services.yaml": SERVICES,
    "canary.yaml": CANARY,
  });
  const ip = clusterIpFor("prod", "payments")
    .split(".")
    .reduce((sum, part) => sum * 256 + Number(part), 0);
  const spec = {
    sourceWorkload: JSON.stringify({ ns: "web", pod: "web-1" }),
    target: { case: "addr", value: { ip: { ip: { case: "ipv4", value: ip } }, port: 8080 } },
  } as const;
  const policies = policy.stream(OutboundPolicies.method.watch, spec, signal);
  assert.equal(weights(await next(policies)), "payments-stable=90 payments-canary=10");
  await write("canary.yaml", CANARY.replace("weight: 90", "weight: 50").replace("weight: 10", "weight: 50"));
  assert.equal(weights(await next(policies)), "payments-stable=50 payments-canary=50");
  await write("canary.yaml", CANARY.replace("weight: 90", "weight: many"));
  await write("other.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n");
  const deadline = Date.now() + 10_000;
  let problems: unknown;
  do problems = await admin("/problems");
  while (!JSON.stringify(problems).includes("weight") && Date.now() < deadline);
  assert.match(
    JSON.stringify(problems),
    /canary\.yaml.*HTTPRoute prod\/payments-canary.*backendRefs\[0\]\.weight.*stays in effect/,
  );
  assert.equal(
    weights(await policy.unary(OutboundPolicies.method.get, spec, signal)),
    "payments-stable=50 payments-canary=50",
  );
  await remove("canary.yaml");
  assert.equal(weights(await next(policies)), "payments");
});

test("inbound policy follows the files and is refused for unknown workloads", async (t) => {
  const { policy, write } = await running(t, { "a.json": pod("a", "10.1.0.1", true) });
  const spec = { workload: JSON.stringify({ ns: "prod", pod: "a" }), port: 9000 };
  const policies = policy.stream(InboundServerPolicies.method.watchPort, spec, signal);
  assert.deepEqual((await next(policies)).labels, {
    group: "",
    kind: "default",
    name: "all-unauthenticated",
  });
  await write(
    "server.yaml",
    `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: payments, namespace: prod}
spec: {podSelector: {matchLabels: {app: payments}}, port: http, proxyProtocol: HTTP/2}
`,
  );
  const selected = await next(policies);
  assert.deepEqual(selected.labels, { group: "policy.linkerd.io", kind: "server", name: "payments" });
  assert.equal(selected.protocol?.kind.case, "http2");
  assert.deepEqual(selected.authorizations, []);
  await assert.rejects(
    policy.unary(
      InboundServerPolicies.method.getPort,
      { ...spec, workload: '{"ns":"prod","pod":"x"}' },
      signal,
    ),
    (error) => error instanceof RpcFailure && error.code === 5,
  );
  await assert.rejects(
    policy.unary(InboundServerPolicies.method.getPort, { ...spec, workload: "?" }, signal),
    (error) => error instanceof RpcFailure && error.code === 3,
  );
});
