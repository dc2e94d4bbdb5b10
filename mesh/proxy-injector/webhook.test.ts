import assert from "node:assert/strict";
import { test } from "node:test";
import { readReview, type Verdict } from "../admission/review.ts";
import { readSettings } from "./settings.ts";
import { injectorWebhook, type Surroundings } from "./webhook.ts";

const surroundings = (annotations: Record<string, string>): Surroundings => ({
  annotations: async () => annotations,
  owner: async () => ({ kind: "Deployment", name: "web" }),
  mesh: () => ({
    settings: readSettings("linkerdVersion: 1.2.3\nproxy: {image: {name: mesh/proxy}}\n", "values"),
    namespace: "linkerd",
    trustAnchorsPem: "PEM",
    trustRootSha256: "abc",
    createdBy: "hauberk/proxy-injector 1.2.3",
  }),
});

const review = (kind: string, object: unknown) =>
  readReview(
    JSON.stringify({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      request: {
        uid: "u",
        kind: { group: "", version: "v1", kind },
        resource: { group: "", version: "v1", resource: `${kind.toLowerCase()}s` },
        namespace: "shop",
        operation: "CREATE",
        object,
      },
    }),
  );

async function reviewed(namespace: Record<string, string>, kind: string, object: unknown) {
  const webhook = injectorWebhook(surroundings(namespace));
  const verdict = await webhook.handle(review(kind, object), AbortSignal.timeout(10_000));
  return { verdict, metrics: webhook.metrics() };
}

const pod = (annotations: object = {}, ports: readonly object[] = []) => ({
  metadata: { generateName: "web-", annotations },
  spec: { containers: [{ name: "app", image: "app:1", ports }] },
});
const ENABLED = { "linkerd.io/inject": "enabled" };
const paths = (verdict: Verdict) =>
  verdict.type === "allow" ? (verdict.patch ?? []).map(({ path }) => path) : [];

test("a pod of a namespace that asks for the mesh is injected, and counted as Linkerd counts", async () => {
  const { verdict, metrics } = await reviewed(ENABLED, "Pod", pod());
  assert.ok(paths(verdict).includes("/spec/initContainers"));
  const [requests, responses] = metrics;
  assert.deepEqual(requests?.series[0]?.labels, {
    owner_kind: "deployment",
    namespace: "shop",
    annotation_at: "namespace",
  });
  assert.equal(responses?.series[0]?.labels["skip"], "false");
});

test("a pod that nobody asked to mesh is let in, with nothing but the opaque ports that it has", async () => {
  assert.deepEqual(paths((await reviewed({}, "Pod", pod())).verdict), []);
  const { verdict, metrics } = await reviewed({}, "Pod", pod({}, [{ containerPort: 3306 }]));
  assert.deepEqual(paths(verdict), ["/metadata/annotations/config.linkerd.io~1opaque-ports"]);
  assert.equal(metrics[1]?.series[0]?.labels["skip_reason"], "injection_enable_annotation_absent");
});

test("a policy that cannot be read keeps the pod from starting, any other annotation is a warning", async () => {
  const closed = await reviewed(ENABLED, "Pod", pod({ "config.linkerd.io/default-inbound-policy": "dney" }));
  assert.ok(closed.verdict.type === "deny");
  assert.match(closed.verdict.reason, /default-inbound-policy/);
  const warned = await reviewed(ENABLED, "Pod", pod({ "config.linkerd.io/proxy-log-format": "xml" }));
  assert.ok(warned.verdict.type === "allow");
  assert.match(warned.verdict.warnings?.[0] ?? "", /proxy-log-format/);
});

test("a Service is told its opaque ports and nothing else", async () => {
  const service = { metadata: { name: "db" }, spec: { ports: [{ port: 3306 }, { port: 80 }] } };
  assert.deepEqual((await reviewed({}, "Service", service)).verdict, {
    type: "allow",
    patch: [
      { op: "add", path: "/metadata/annotations", value: { "config.linkerd.io/opaque-ports": "3306" } },
    ],
  });
});

test("a pod that cannot be read is refused by field", async () => {
  const { verdict } = await reviewed(ENABLED, "Pod", { spec: { containers: [] } });
  assert.ok(verdict.type === "deny");
  assert.match(verdict.reason, /spec\.containers/);
});
