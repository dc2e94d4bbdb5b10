import assert from "node:assert/strict";
import { test } from "node:test";
import { authorizationsAt } from "@hauberk/mesh/policy/listing.ts";
import { portsAt } from "@hauberk/mesh/policy/question.ts";
import { describeGround } from "@hauberk/mesh/policy/verdict.ts";
import { parseFile } from "@hauberk/mesh/source/manifests/parse.ts";
import { endpointsOf, policyAnswers, profileAnswer } from "./diagnose.ts";
import { settingsOf } from "./settings.ts";
import { destinationOf } from "./words.ts";
import { worldOfDocuments } from "./world.ts";

const WORLD = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, clusterIP: 10.96.0.7, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers: [{name: linkerd-proxy, restartPolicy: Always, ports: [{containerPort: 4143}]}]
      containers: [{name: c, ports: [{name: http, containerPort: 8080}], livenessProbe: {httpGet: {port: http}}}]
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {}, port: http, accessPolicy: cluster-unauthenticated}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: all, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: web}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: all}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: all, namespace: shop}
spec: {identities: ["*", "*.shop.test"]}
`;

const parsed = parseFile("world.yaml", WORLD);
const world = worldOfDocuments(parsed.documents, settingsOf({ clusterNetworks: "10.0.0.0/8" }, "linkerd"));

test("authorizations are listed by port, route and client, without the proxy's own ports", () => {
  const to = destinationOf("deploy/web", "shop");
  assert.ok(to);
  const rows = authorizationsAt(portsAt(to, world), world).map(({ port, server, route, by, clients }) =>
    [port, describeGround(server), route?.name, by?.name, clients].join(" "),
  );
  assert.deepEqual(rows, [
    "8080 Server shop/web  cluster-unauthenticated all from 10.0.0.0/8",
    "8080 Server shop/web  all *, *.shop.test",
    "8080 Server shop/web probe probe all from 10.254.255.254/32",
  ]);
});

test("diagnostics give endpoints, profiles and policies as proxies get them, or say what is not there", () => {
  const found = endpointsOf("web.shop.svc.cluster.local:80", world);
  assert.ok(found.ok);
  assert.deepEqual(
    found.rows.map(({ ip, port, pod }) => [ip, port, pod]),
    [["10.254.0.1", 8080, "web"]],
  );
  for (const authority of ["gone.shop.svc.cluster.local:80", "a.test:80", "10.96.0.7:80"])
    assert.ok(!endpointsOf(authority, world).ok, authority);
  const profile = profileAnswer("10.96.0.7:80", "shop", world);
  assert.ok(profile.ok);
  assert.match(JSON.stringify(profile.profile), /web\.shop\.svc\.cluster\.local/);
  for (const [resource, expected] of [
    ["svc/web", "Service shop/web:80"],
    ["deploy/web", "Pod shop/web:80"],
  ] as const) {
    const to = destinationOf(resource, "shop");
    assert.ok(to);
    const [answer, ...others] = policyAnswers({ ...to, port: 80 }, "shop", world);
    assert.deepEqual(others, []);
    assert.equal(answer?.resource, expected);
  }
});
