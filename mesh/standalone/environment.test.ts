import assert from "node:assert/strict";
import { test } from "node:test";
import { expand, processOf } from "./environment.ts";
import type { PodFacts } from "./environment.ts";
import type { Container, EnvVar } from "./workload.ts";

const pod: PodFacts = {
  namespace: "shop",
  name: "web-0",
  uid: "u1",
  labels: { app: "web" },
  annotations: { note: "hi" },
  serviceAccount: "web",
  node: "standalone",
  nodeIp: "10.244.0.1",
  ips: ["10.244.0.9"],
};

const lookup = (kind: string, name: string) =>
  kind === "ConfigMap" && name === "settings" ? { COLOR: "red" } : undefined;

function environment(env: readonly EnvVar[], more: Partial<Container> = {}) {
  const container: Container = { name: "web", command: ["x"], env, envFrom: [], ports: [], ...more };
  return processOf(container, pod, { lookup, base: { PATH: "/bin" }, file: "/etc/app/manifests/web.yaml" });
}

test("references are replaced as Kubernetes does", () => {
  const table: readonly (readonly [string, string])[] = [
    ["$(A)", "1"],
    ["a$(A)b$(A)", "a1b1"],
    ["$(NO)", "$(NO)"],
    ["$$(A)", "$(A)"],
    ["$A", "$A"],
    ["$(", "$("],
  ];
  for (const [text, expected] of table) assert.equal(expand(text, { A: "1" }), expected, text);
});

test("a variable sees those before it", () => {
  const { environment: made, command } = environment(
    [
      { name: "HOST", source: { type: "field", path: "status.podIP" } },
      { name: "URL", source: { type: "value", value: "http://$(HOST):$(PORT)/" } },
      { name: "PORT", source: { type: "value", value: "80" } },
    ],
    { command: ["serve", "$(URL)", "$(PORT)"] },
  );
  assert.equal(made["URL"], "http://10.244.0.9:$(PORT)/");
  assert.deepEqual(command, ["serve", "http://10.244.0.9:$(PORT)/", "80"]);
  assert.equal(made["HOSTNAME"], "web-0");
});

test("fields, ConfigMaps and prefixes are resolved", () => {
  const { environment: made } = environment(
    [
      { name: "APP", source: { type: "field", path: "metadata.labels['app']" } },
      {
        name: "COLOR",
        source: { type: "key", kind: "ConfigMap", name: "settings", key: "COLOR", optional: false },
      },
      { name: "GONE", source: { type: "key", kind: "Secret", name: "none", key: "x", optional: true } },
    ],
    { envFrom: [{ kind: "ConfigMap", name: "settings", prefix: "P_", optional: false }] },
  );
  assert.deepEqual(
    [made["APP"], made["COLOR"], made["P_COLOR"], "GONE" in made],
    ["web", "red", "red", false],
  );
});

test("what cannot be resolved stops the container and says what it was", () => {
  const key = { type: "key", kind: "Secret", name: "none", key: "x", optional: false } as const;
  assert.throws(() => environment([{ name: "A", source: key }]), /Secret none has no key x/);
  assert.throws(
    () => environment([{ name: "A", source: { type: "field", path: "spec.magic" } }]),
    /fieldRef spec\.magic/,
  );
  const envFrom = [{ kind: "ConfigMap", name: "none", prefix: "", optional: false }] as const;
  assert.throws(() => environment([], { envFrom }), /there is no ConfigMap none/);
});

test("a working directory is relative to the manifest", () => {
  assert.equal(environment([]).cwd, "/etc/app/manifests");
  assert.equal(environment([], { workingDir: "../src" }).cwd, "/etc/app/src");
  assert.equal(environment([], { workingDir: "/srv" }).cwd, "/srv");
});
