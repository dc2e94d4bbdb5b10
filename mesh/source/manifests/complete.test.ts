import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cidrContains, parseCidr, parseIp } from "../../model/address.ts";
import { selects } from "../../model/selector.ts";
import type { EndpointSlice } from "../../model/service.ts";
import { accept, NOTHING_ACCEPTED } from "./accept.ts";
import { assignClusterIps, clusterIp6For, clusterIpFor, CLUSTER_IP_NETWORKS } from "./cluster_ip.ts";
import { complete } from "./complete.ts";
import type { Loaded } from "./load.ts";
import { parseYaml } from "./parse.ts";

function loaded(...texts: readonly string[]): Loaded {
  const files = texts.map((text, at) => parseYaml(`/m/${at}.yaml`, text));
  return {
    documents: files.flatMap(({ documents }) => documents),
    problems: files.flatMap(({ problems }) => problems),
    broken: new Set(files.flatMap(({ whole }, at) => (whole ? [] : [`/m/${at}.yaml`]))),
  };
}

const service = (name: string, spec: string) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: prod}\nspec: ${spec}\n`;
const pod = (name: string, ip: string, extra = "") => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: prod, labels: {app: web}}
spec:
  hostname: ${name}
  subdomain: web
  containers: [{name: app, ports: [{name: http, containerPort: 9000}]}]
status: {podIP: ${ip}, phase: Running, conditions: [{type: Ready, status: "True"}] ${extra}}
`;

function slicesOf(...texts: readonly string[]): readonly EndpointSlice[] {
  const { objects } = complete(accept(NOTHING_ACCEPTED, loaded(...texts)));
  return objects.flatMap((tagged) => (tagged.kind === "EndpointSlice" ? [tagged.object] : []));
}

test("a service's address depends on its name alone and lies in the service network", () => {
  const [four, six] = CLUSTER_IP_NETWORKS.map(parseCidr);
  assert.ok(four && six);
  // Golden: a change of the formula moves every service of every standalone mesh.
  assert.equal(clusterIpFor("prod", "payments"), "10.99.236.253");
  assert.equal(clusterIp6For("prod", "payments"), "fd00:10:96:0:7a29:3a3d:7243:998f");
  fc.assert(
    fc.property(fc.string(), fc.string(), (namespace, name) => {
      const ip4 = parseIp(clusterIpFor(namespace, name));
      const ip6 = parseIp(clusterIp6For(namespace, name));
      assert.ok(ip4 && ip6 && cidrContains(four, ip4) && cidrContains(six, ip6));
    }),
  );
});

test("two services that would share an address are both named, and the order of files does not matter", () => {
  const taken = clusterIpFor("prod", "web");
  const texts = [
    service("web", "{ports: [{port: 80}]}"),
    service("api", `{clusterIP: ${taken}, ports: [{port: 80}]}`),
  ];
  for (const order of [texts, texts.toReversed()]) {
    const { objects, problems } = complete(accept(NOTHING_ACCEPTED, loaded(...order)));
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.message ?? "", /prod\/web and Service prod\/api would both have/);
    const web = objects.find(({ kind, object }) => kind === "Service" && object.meta.name === "web");
    assert.deepEqual(web?.kind === "Service" ? web.object.clusterIps : [], [clusterIp6For("prod", "web")]);
  }
});

test("headless and external services get no address, written ones keep theirs", () => {
  const { objects } = complete(
    accept(
      NOTHING_ACCEPTED,
      loaded(
        service("headless", "{clusterIP: None, ports: [{port: 80}]}"),
        service("elsewhere", "{type: ExternalName, externalName: example.com}"),
        service("written", "{clusterIP: 10.97.0.1, ports: [{port: 80}]}"),
      ),
    ),
  );
  const ips = objects.flatMap((tagged) =>
    tagged.kind === "Service" ? [tagged.object.clusterIps.join()] : [],
  );
  assert.deepEqual(ips.toSorted(), ["", "", "10.97.0.1"]);
  assert.deepEqual(assignClusterIps([]), { services: [], collisions: [] });
});

test("endpoints are the pods that a service selects, with named ports resolved on each pod", () => {
  const web = service(
    "web",
    "{selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}, {name: raw, port: 81}]}",
  );
  const [slice, ...others] = slicesOf(web, pod("a", "10.1.0.1"), pod("b", "10.1.0.2"));
  assert.deepEqual(others, []);
  assert.deepEqual(slice?.ports, [
    { name: "http", port: 9000 },
    { name: "raw", port: 81 },
  ]);
  assert.deepEqual(
    slice?.endpoints.map(({ ip, isReady, hostname }) => [ip, isReady, hostname]),
    [
      ["10.1.0.1", true, "a"],
      ["10.1.0.2", true, "b"],
    ],
  );
});

test("finished pods are no endpoints, unready and terminating ones are not ready", () => {
  const web = service("web", "{selector: {app: web}, ports: [{port: 80}]}");
  assert.deepEqual(slicesOf(web, pod("a", "10.1.0.1").replace("Running", "Succeeded")), []);
  const ready = (text: string) => slicesOf(web, text)[0]?.endpoints[0]?.isReady;
  assert.equal(ready(pod("a", "10.1.0.1").replace('"True"', '"False"')), false);
  assert.equal(
    ready(pod("a", "10.1.0.1").replace("{name: a", '{deletionTimestamp: "2026-01-01T00:00:00Z", name: a')),
    false,
  );
  assert.equal(ready(pod("a", "10.1.0.1")), true);
});

test("addresses of both families make slices of both families", () => {
  const web = service("web", "{selector: {app: web}, ports: [{port: 80}]}");
  const slices = slicesOf(web, pod("a", "10.1.0.1", ', podIPs: [{ip: 10.1.0.1}, {ip: "fd00::1"}]'));
  assert.deepEqual(
    slices.map(({ family }) => family).toSorted((a, b) => a - b),
    [4, 6],
  );
});

test("a service selects external workloads as it selects pods; a service without a selector selects nothing", () => {
  const workload = `apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: {name: vm, namespace: prod, labels: {app: web}}
spec:
  meshTLS: {identity: "spiffe://root.linkerd.cluster.local/vm", serverName: vm.example}
  workloadIPs: [{ip: 192.0.2.7}]
  ports: [{port: 8000, name: http}]
status: {conditions: [{type: Ready, status: "True"}]}
`;
  const [slice] = slicesOf(
    service("web", "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}"),
    workload,
  );
  assert.equal(slice?.endpoints[0]?.target?.kind, "ExternalWorkload");
  assert.deepEqual(slice?.ports, [{ name: "", port: 8000 }]);
  assert.deepEqual(slicesOf(service("web", "{ports: [{port: 80}]}"), workload), []);
});

const labels = (app: string) => selects({ matchLabels: { app: "web" }, matchExpressions: [] }, { app });

test("whatever pods there are, ready endpoints are exactly the ready pods that are selected", () => {
  const anyPod = fc.record({
    name: fc.stringMatching(/^[a-z]{1,8}$/),
    host: fc.integer({ min: 1, max: 250 }),
    app: fc.constantFrom("web", "api"),
    ready: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.uniqueArray(anyPod, { selector: ({ name }) => name }), (pods) => {
      const texts = pods.map(({ name, host, app, ready }) =>
        pod(name, `10.1.0.${host}`)
          .replace("app: web", `app: ${app}`)
          .replace('"True"', ready ? '"True"' : '"False"'),
      );
      const slices = slicesOf(service("web", "{selector: {app: web}, ports: [{port: 80}]}"), ...texts);
      const got = slices.flatMap(({ endpoints }) =>
        endpoints.flatMap(({ isReady, target }) => (isReady ? [target?.name] : [])),
      );
      const expected = pods.filter(({ app, ready }) => ready && labels(app)).map(({ name }) => name);
      assert.deepEqual(new Set(got), new Set(expected));
    }),
    { numRuns: 50 },
  );
});

test("a wrong object keeps its last accepted version, a broken file all of its objects, until it is right or gone", () => {
  const good = service("web", "{ports: [{port: 80}]}");
  const first = accept(NOTHING_ACCEPTED, loaded(good, service("api", "{ports: [{port: 80}]}")));
  const ports = (accepted: typeof first) =>
    [...accepted.objects.values()].flatMap(({ tagged }) =>
      tagged.kind === "Service" ? [`${tagged.object.meta.name}:${tagged.object.ports[0]?.port}`] : [],
    );
  assert.deepEqual(ports(first), ["web:80", "api:80"]);
  const wrong = accept(
    first,
    loaded(service("web", "{ports: [{port: eighty}]}"), service("api", "{ports: [{port: 81}]}")),
  );
  assert.deepEqual(ports(wrong), ["web:80", "api:81"]);
  assert.match(wrong.problems[0]?.message ?? "", /stays in effect/);
  const broken = accept(wrong, loaded("a: [", service("api", "{ports: [{port: 81}]}")));
  assert.deepEqual(ports(broken).toSorted(), ["api:81", "web:80"]);
  const mended = accept(broken, loaded(service("web", "{ports: [{port: 82}]}")));
  assert.deepEqual(ports(mended), ["web:82"]);
  assert.deepEqual(mended.problems, []);
});
