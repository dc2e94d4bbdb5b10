import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parse, parseAllDocuments } from "yaml";
import { injectManifests, uninjectManifests, type InjectOptions } from "./manifest.ts";
import { readSettings } from "./settings.ts";
import { StreamError, rewrite } from "./stream.ts";

const OPTIONS: InjectOptions = {
  inject: "enabled",
  annotations: {},
  manual: undefined,
  unsupportedPods: "refuse",
  proxyUid: 2102,
};

const CONFIG_MAP = `# a comment of mine
apiVersion: v1
kind:   ConfigMap   # oddly spaced
metadata: {name: c}
data:
  script: |
    a: b
     --- no mark
`;

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # the shop window
spec:
  replicas: 3
  template:
    metadata:
      labels: {app: web}
    spec:
      # one is enough
      containers:
        - name: app
          image: app:1
`;

const inject = (text: string, change: Partial<InjectOptions> = {}) =>
  injectManifests(text, "file.yml", { ...OPTIONS, ...change });
const lines = (reports: readonly { readonly object: string; readonly outcome: string }[]) =>
  reports.map(({ object, outcome }) => `${object} ${outcome}`);

test("a workload's template is annotated, its comments stay, and other documents keep every byte", () => {
  const { text, reports } = inject(`${CONFIG_MAP}--- # second\n${DEPLOYMENT}`);
  assert.deepEqual(lines(reports), ['configmap "c" skipped', 'deployment "web" injected']);
  assert.ok(text.startsWith(`${CONFIG_MAP}--- # second\n`));
  assert.match(text, /# the shop window/);
  assert.match(text, /# one is enough/);
  const [, web] = parseAllDocuments(text).map((document) => document.toJS());
  assert.deepEqual(web.spec.template.metadata, {
    labels: { app: "web" },
    annotations: { "linkerd.io/inject": "enabled" },
  });
});

test("every kind of workload has its template where its API has it", () => {
  const spec = { containers: [{ name: "app" }] };
  const kinds: readonly (readonly [string, object, string])[] = [
    ["Pod", spec, "metadata"],
    ...["Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job"].map(
      (kind) => [kind, { template: { spec } }, "spec.template.metadata"] as const,
    ),
    ["CronJob", { jobTemplate: { spec: { template: { spec } } } }, "spec.jobTemplate.spec.template.metadata"],
  ];
  for (const [kind, body, where] of kinds) {
    const object = { apiVersion: "v1", kind, metadata: { name: "x" }, spec: body };
    const { text, reports } = inject(JSON.stringify(object));
    assert.deepEqual(lines(reports), [`${kind.toLowerCase()} "x" injected`]);
    let found: unknown = JSON.parse(text);
    for (const key of where.split(".")) found = new Map(Object.entries(found ?? {})).get(key);
    assert.match(JSON.stringify(found), /"linkerd.io\/inject":"enabled"/, kind);
  }
});

test("items of a List are objects of their own", () => {
  const list = `apiVersion: v1\nkind: List\nitems:\n- ${DEPLOYMENT.replaceAll("\n", "\n  ").trimEnd()}\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: shop}\n`;
  const { text, reports } = inject(list);
  assert.deepEqual(lines(reports), ['deployment "web" injected', 'namespace "shop" injected']);
  const [first, second] = parse(text).items;
  assert.equal(first.spec.template.metadata.annotations["linkerd.io/inject"], "enabled");
  assert.equal(second.metadata.annotations["linkerd.io/inject"], "enabled");
});

test("who opted out, or cannot be meshed, is skipped with the reason and unchanged", () => {
  const out = DEPLOYMENT.replace("labels: {app: web}", "annotations: {linkerd.io/inject: disabled}");
  const host = DEPLOYMENT.replace("      # one is enough", "      hostNetwork: true");
  for (const [given, reason] of [
    [out, /disabled/],
    [host, /hostNetwork/],
  ] as const) {
    const { text, reports } = inject(given);
    assert.equal(text, given);
    assert.match(reports[0]?.reason ?? "", reason);
  }
  const broken = inject(
    "kind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: []}}}\n",
  );
  assert.match(broken.reports[0]?.object ?? "", /deployment "web": spec\.template\.spec\.containers/);
  assert.deepEqual(lines(inject("a: b\n").reports), ['document missing "kind" field skipped']);
  assert.throws(() => inject("a: [\n"), StreamError);
});

test("a Service is told its opaque ports where they are asked for", () => {
  const service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: db\n";
  assert.deepEqual(lines(inject(service).reports), ['service "db" skipped']);
  const { text, reports } = inject(service, { annotations: { "config.linkerd.io/opaque-ports": "3306" } });
  assert.deepEqual(lines(reports), ['service "db" annotated']);
  assert.match(text, /config\.linkerd\.io\/opaque-ports: "3306"/);
});

test("by hand the proxy is in the manifest, and uninject gives back what was there", () => {
  const manual = {
    settings: readSettings("linkerdVersion: 1.2.3\nproxy: {image: {name: mesh/proxy}}\n", "values"),
    namespace: "linkerd",
    trustAnchorsPem: "PEM",
    trustRootSha256: "abc",
    createdBy: "hauberk/cli 1.2.3",
  };
  for (const native of ["true", "false"]) {
    const annotations = { "config.linkerd.io/proxy-enable-native-sidecar": native };
    const { text, reports } = inject(DEPLOYMENT, { manual, annotations });
    assert.deepEqual(lines(reports), ['deployment "web" injected']);
    const { template } = parse(text).spec;
    assert.equal(template.metadata.labels["linkerd.io/proxy-deployment"], "web");
    const names = [...template.spec.initContainers, ...template.spec.containers].map(
      ({ name }: { name: string }) => name,
    );
    assert.deepEqual(names.toSorted(), ["app", "linkerd-init", "linkerd-proxy"]);
    assert.deepEqual(lines(inject(text, { manual, annotations }).reports), ['deployment "web" skipped']);
    const back = uninjectManifests(text, "file.yml");
    assert.deepEqual(lines(back.reports), ['deployment "web" uninjected']);
    const { spec, metadata } = parse(back.text).spec.template;
    assert.deepEqual(spec, parse(DEPLOYMENT).spec.template.spec);
    assert.deepEqual(metadata.labels, { app: "web" });
    assert.match(back.text, /# one is enough/);
  }
});

test("a stream that nothing is done to is the same bytes, whatever it is", () => {
  const piece = fc.constantFrom(
    CONFIG_MAP,
    "---\n",
    "--- # x\n",
    "# only a comment\n",
    "\n",
    '{"kind": "Secret"}\n',
    "a: 1\n",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const text = pieces.join("---\n");
      assert.equal(
        rewrite(text, "x", () => []),
        text,
      );
    }),
  );
});
