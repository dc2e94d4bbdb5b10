/** Who gets shares of cluster-wide limits, as the service answers from manifests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LeaseRequestSchema } from "../api/gen/hauberk/proxy/v1/quota_pb.ts";
import { Quotas } from "../policy/quota_grpc.ts";
import { worldOf } from "./fixture.ts";

const pod = (name: string, app: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: prod, labels: {app: ${app}}}
spec: {serviceAccountName: ${app}, containers: [{name: app, ports: [{containerPort: 8080}]}]}
status: {podIP: 10.1.0.${name.length}, conditions: [{type: Ready, status: "True"}]}
`;

const WORLD = [
  pod("a", "payments"),
  pod("bb", "payments"),
  pod("ccc", "other"),
  `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: payments, namespace: prod}
spec: {podSelector: {matchLabels: {app: payments}}, port: 8080}
`,
  ...["Cluster", "Local"].map(
    (scope) => `apiVersion: policy.hauberk.io/v1alpha1
kind: HTTPRateLimitPolicy
metadata: {name: ${scope.toLowerCase()}, namespace: prod}
spec: {targetRef: {kind: Server, name: payments}, scope: ${scope}, total: {requestsPerSecond: 100}}
`,
  ),
];

/** What a pod that is asked for 1000 requests per second is answered. */
function lease(quotas: Quotas, name: string, key: string, held = 0n, nowMs = 0): readonly bigint[] {
  const demands = [{ key, askedMilliPerSecond: 1_000_000n, heldMilliPerSecond: held }];
  const request = create(LeaseRequestSchema, {
    workload: JSON.stringify({ ns: "prod", pod: name }),
    demands,
  });
  const answer = quotas.lease(request, worldOf(WORLD).snapshot, nowMs);
  return answer.leases.map(({ milliPerSecond }) => milliPerSecond);
}

test("the pods of a policy's Server share its limit, and nobody else has a part in it", () => {
  const quotas = new Quotas(1);
  assert.deepEqual(lease(quotas, "a", "prod/cluster"), [100_000n]);
  assert.deepEqual(lease(quotas, "bb", "prod/cluster"), [0n]);
  assert.deepEqual(lease(quotas, "a", "prod/cluster", 100_000n, 1_000), [50_000n]);
  assert.deepEqual(lease(quotas, "a", "prod/cluster", 50_000n, 2_000), [50_000n]);
  assert.deepEqual(lease(quotas, "bb", "prod/cluster", 0n, 2_000), [50_000n]);
  for (const [name, key] of [
    ["ccc", "prod/cluster"],
    ["gone", "prod/cluster"],
    ["a", "prod/local"],
    ["a", "prod/unknown"],
  ] as const) {
    assert.deepEqual(lease(quotas, name, key), [], `${name} of ${key}`);
  }
});

test("each of several control planes leases its even part", () => {
  assert.deepEqual(lease(new Quotas(3), "a", "prod/cluster"), [33_333n]);
});

test("a limit that is no more is forgotten", () => {
  const quotas = new Quotas(1);
  lease(quotas, "a", "prod/cluster");
  assert.equal(quotas.pools.size, 1);
  quotas.prune(worldOf(WORLD.slice(0, 4)).snapshot);
  assert.equal(quotas.pools.size, 0);
});
