import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFile } from "../source/manifests/parse.ts";
import { decodeWorkload, workloadKind } from "./decode.ts";
import type { Decoded } from "./decode.ts";

function decode(yaml: string): Decoded {
  const [document] = parseFile("app.yaml", yaml).documents;
  assert.ok(document);
  const kind = workloadKind(document);
  assert.ok(kind);
  return decodeWorkload(document, kind);
}

function deployment(container: string, pod = ""): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      ${pod}
      containers:
      - {name: web, ${container}}
`;
}

const texts = ({ errors }: Decoded) =>
  errors.map(({ object, field, message }) => `${object}: ${field}: ${message}`);

test("a container without a command is refused by object and field, since images are not pulled", () => {
  assert.deepEqual(texts(decode(deployment("image: nginx"))), [
    "Deployment shop/web: spec.template.spec.containers[0].command: container web has no command: " +
      "images are not pulled here, so the program to run has to be named",
  ]);
});

test("errors name the line of the manifest", () => {
  assert.equal(decode(deployment("image: nginx")).errors[0]?.line, 11);
});

test("a workload is what Kubernetes' defaults make of it", () => {
  const { workload, errors } = decode(
    deployment(
      'command: [node, web.ts], args: ["$(PORT)"], ports: [{name: http, containerPort: 80}], readinessProbe: {httpGet: {port: http}}',
    ),
  );
  assert.deepEqual(errors, []);
  assert.equal(workload?.replicas, 1);
  assert.equal(workload?.template.serviceAccount, "default");
  assert.equal(workload?.template.graceMs, 30_000);
  const [container] = workload?.template.containers ?? [];
  assert.deepEqual(container?.command, ["node", "web.ts", "$(PORT)"]);
  assert.deepEqual(container?.readiness, {
    action: { type: "http", port: 80, path: "/", scheme: "HTTP", headers: [] },
    initialDelayMs: 0,
    periodMs: 10_000,
    timeoutMs: 1_000,
    successThreshold: 1,
    failureThreshold: 3,
  });
});

test("each mistake has its own words", () => {
  const run = "command: [x]";
  const table: readonly (readonly [string, RegExp])[] = [
    [
      deployment(`${run}, readinessProbe: {httpGet: {port: web}}`),
      /readinessProbe\.httpGet\.port: no port of this pod is called web/,
    ],
    [
      deployment(`${run}, livenessProbe: {periodSeconds: 1}`),
      /livenessProbe: needs one of httpGet, tcpSocket, grpc, exec/,
    ],
    [
      deployment(`${run}, livenessProbe: {tcpSocket: {port: 1}, exec: {command: [x]}}`),
      /livenessProbe: needs one of/,
    ],
    [deployment(`${run}, env: [{name: A, valueFrom: {}}]`), /env\[0\]\.valueFrom: needs one of fieldRef/],
    [deployment(`${run}, ports: [{containerPort: 0}]`), /containers\[0\]\.ports\[0\]\.containerPort: /],
    [deployment(run, "hostNetwork: true"), /hostNetwork: a pod has a network of its own here/],
    [deployment(run, "initContainers: [{name: web, command: [y]}]"), /two containers are called web/],
    [
      deployment(run).replace("matchLabels: {app: web}", "matchLabels: {app: shop}"),
      /app=shop is not on the pod template/,
    ],
    [deployment(run).replace("matchLabels: {app: web}", "matchLabels: {}"), /selects nothing/],
    [
      deployment(run)
        .replace("selector:", "replicas: -1, selector:")
        .replace("replicas: -1, selector:", "replicas: -1\n  selector:"),
      /spec\.replicas: /,
    ],
  ];
  for (const [yaml, expected] of table) assert.match(texts(decode(yaml)).join("\n"), expected, yaml);
});

test("what is not done here is a warning and does not stop the pod", () => {
  const { workload, warnings } = decode(deployment("command: [x], volumeMounts: [{name: a, mountPath: /a}]"));
  assert.ok(workload);
  assert.match(warnings[0]?.message ?? "", /volumes are not mounted/);
});

test("a Job may not restart for ever", () => {
  const job = `apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {containers: [{name: a, command: [x]}]}}}
`;
  assert.match(
    texts(decode(job)).join(),
    /Job default\/once: spec\.template\.spec\.restartPolicy: a Job needs OnFailure or Never/,
  );
});

test("objects of other groups are nobody's workloads", () => {
  const [document] = parseFile(
    "a.yaml",
    "apiVersion: example.com/v1\nkind: Deployment\nmetadata: {name: a}\n",
  ).documents;
  assert.ok(document);
  assert.equal(workloadKind(document), undefined);
});
