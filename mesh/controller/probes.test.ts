/** The paths of a pod's probes are open to its kubelet, and to nobody else (S0-12). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cidrContains, formatIp, parseIp } from "../model/address.ts";
import { bitsOfWireIp } from "../api/wire.ts";
import { worldOf } from "./fixture.ts";

const NODE = (fields: string, annotations = "{}") => `apiVersion: v1
kind: Node
metadata: {name: node-a, annotations: ${annotations}}
${fields}`;

const POD = (status: string) => `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  nodeName: node-a
  containers:
  - name: app
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /ready, port: http}}
    livenessProbe: {httpGet: {path: "live?full=1", port: 8080}}
    startupProbe: {httpGet: {port: 9000}}
    lifecycle: {}
status: ${status}`;

/** Networks that the route of the probes is open to, and its paths. */
function probes(texts: readonly string[], args: readonly string[] = [], port = 8080) {
  const kind = worldOf(texts, args).inbound("shop/web", port)?.protocol?.kind;
  assert.ok(kind?.case === "detect");
  const route = kind.value.httpRoutes.find(({ metadata }) => metadata?.kind.value === "probe");
  const networks = (route?.authorizations ?? []).flatMap(({ networks: all }) =>
    all.map(({ net }) => {
      const address = bitsOfWireIp(net?.ip);
      return address === undefined ? "" : `${formatIp(address)}/${net?.prefixLen}`;
    }),
  );
  return { networks, paths: route?.rules[0]?.matches.map(({ path }) => path?.kind.value) };
}

test("they are open to the node's addresses and the gateways of its pods' networks", () => {
  const node = NODE(`spec: {podCIDR: 10.244.3.0/24, podCIDRs: [10.244.3.0/24, "fd00:3::/64"]}
status: {addresses: [{type: InternalIP, address: 192.168.1.7}, {type: Hostname, address: node-a}]}`);
  const { networks, paths } = probes([node, POD("{podIP: 10.244.3.9}")]);
  assert.deepEqual(networks, ["10.244.3.1/32", "192.168.1.7/32", "fd00:3::1/128"]);
  assert.deepEqual(paths, ["/live", "/ready"]);
  assert.deepEqual(probes([node, POD("{podIP: 10.244.3.9}")], [], 9000).paths, ["/"]);
});

test("they are open to the address that the pod says its node has, and to what the network plugin gave the node", () => {
  const annotated = NODE("status: {}", "{network.cilium.io/ipv4-cilium-host: 10.0.1.77}");
  const pod = POD("{podIP: 10.0.1.9, hostIP: 192.168.1.7, hostIPs: [{ip: 192.168.1.7}, {ip: 'fd00::7'}]}");
  assert.deepEqual(probes([annotated, pod]).networks, ["10.0.1.77/32", "192.168.1.7/32", "fd00::7/128"]);
});

test("of a pod whose node is not known they are open to nobody", () => {
  assert.deepEqual(probes([POD("{podIP: 10.0.1.9}")]).networks, []);
});

test("networks that are set stand in place of the node's", () => {
  const args = ["--probe-networks", "10.0.0.0/8"];
  const pod = POD("{podIP: 10.0.1.9, hostIP: 192.168.1.7}");
  assert.deepEqual(probes([pod], args).networks, ["10.0.0.0/8"]);
  assert.deepEqual(probes([pod], ["--probe-networks", "node"]).networks, ["192.168.1.7/32"]);
});

test("no other pod's address is among them", () => {
  const node = NODE("spec: {podCIDR: 10.244.3.0/24}\nstatus: {}");
  const other = parseIp("10.244.3.10");
  assert.ok(other);
  for (const text of probes([node, POD("{podIP: 10.244.3.9}")]).networks) {
    const [address = "", prefix = ""] = text.split("/");
    const ip = parseIp(address);
    assert.ok(ip && !cidrContains({ address: ip, prefix: Number(prefix) }, other), text);
  }
});
