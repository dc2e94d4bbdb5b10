import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";
import { manifestStream, renderChart } from "../chart.ts";
import { FIPS, HIGH_AVAILABILITY, parseValues, type Tree } from "../values/values.ts";
import { CONTROL_PLANE_CHART } from "./control_plane.ts";

const GOLDEN = join(import.meta.dirname, "golden");

const TRUST: Tree = {
  identityTrustAnchorsPEM: "-----BEGIN CERTIFICATE-----\nanchor\n-----END CERTIFICATE-----\n",
  identity: { issuer: { tls: { crtPEM: "certificate\n", keyPEM: "key\n" } } },
};

function render(...layers: readonly Tree[]): string {
  const values = parseValues(TRUST, ...layers);
  return manifestStream(renderChart(CONTROL_PLANE_CHART, { namespace: "linkerd", version: "1.2.3", values }));
}

const Rendered = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.unknown().optional(),
  data: z.record(z.string(), z.string()).optional(),
});

function objects(yaml: string): readonly z.infer<typeof Rendered>[] {
  return parseAllDocuments(yaml, { version: "1.1" }).map((document) => {
    assert.deepEqual(document.errors, []);
    return Rendered.parse(document.toJS());
  });
}

/** Renderings that a reviewer sees change. `HAUBERK_GOLDEN=write` writes them anew. */
for (const [name, layers] of [
  ["default", []],
  ["ha", [HIGH_AVAILABILITY]],
  [
    "fips",
    [
      FIPS,
      {
        fips: { node: "hybrid" },
        identityTrustAnchorsPEM: "",
        identity: { externalCA: true, issuer: { tls: { crtPEM: "", keyPEM: "" } } },
      },
    ],
  ],
  [
    "external",
    [
      {
        identityTrustAnchorsPEM: "",
        cniEnabled: true,
        commonLabels: { team: "mesh" },
        identity: {
          externalCA: true,
          issuer: { scheme: "kubernetes.io/tls", tls: { crtPEM: "", keyPEM: "" } },
        },
        podMonitor: { enabled: true },
        imagePullSecrets: [{ name: "registry" }],
      },
    ],
  ],
] as const satisfies readonly (readonly [string, readonly Tree[]])[]) {
  test(`the rendering ${name} is the golden one, and the same each time`, () => {
    const file = join(GOLDEN, `${name}.yaml.golden`);
    const rendered = render(...layers);
    assert.equal(render(...layers), rendered);
    if (process.env["HAUBERK_GOLDEN"] === "write") writeFileSync(file, rendered);
    assert.equal(rendered, readFileSync(file, "utf8"), "HAUBERK_GOLDEN=write writes it anew");
  });
}

test("objects have Linkerd's names", () => {
  const names = objects(render()).map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  for (const name of [
    "Deployment/linkerd-destination",
    "Deployment/linkerd-identity",
    "Deployment/linkerd-proxy-injector",
    "Service/linkerd-dst",
    "Service/linkerd-dst-headless",
    "Service/linkerd-policy",
    "Service/linkerd-identity",
    "Service/linkerd-identity-headless",
    "Service/linkerd-proxy-injector",
    "Service/linkerd-sp-validator",
    "Service/linkerd-policy-validator",
    "ConfigMap/linkerd-config",
    "ConfigMap/linkerd-identity-trust-roots",
    "Secret/linkerd-identity-issuer",
    "ServiceAccount/linkerd-destination",
    "MutatingWebhookConfiguration/linkerd-proxy-injector-webhook-config",
    "ValidatingWebhookConfiguration/linkerd-sp-validator-webhook-config",
    "ValidatingWebhookConfiguration/linkerd-policy-validator-webhook-config",
    "ClusterRole/linkerd-linkerd-destination",
  ]) {
    assert.ok(names.includes(name), name);
  }
  assert.equal(new Set(names).size, names.length);
});

test("no rendering holds a certificate of a webhook, and the issuer's key is in its Secret only", () => {
  const rendered = render();
  assert.doesNotMatch(rendered, /caBundle: "?[A-Za-z0-9+/]{20}/);
  const key = Buffer.from("key\n").toString("base64");
  assert.equal(rendered.split(key).length - 1, 1);
  assert.doesNotMatch(rendered, /"key\\n"/);
});

test("the ConfigMap linkerd-config holds every value, so that an upgrade begins with the same", () => {
  const config = objects(render({ proxy: { logLevel: "debug" } })).find(
    ({ metadata }) => metadata.name === "linkerd-config",
  );
  const values: unknown = parse(config?.data?.["values"] ?? "");
  const { linkerdVersion, identityTrustDomain, ...others } = parseValues(
    z.record(z.string(), z.unknown()).parse(values),
  );
  assert.equal(linkerdVersion, "1.2.3");
  assert.equal(identityTrustDomain, "cluster.local");
  assert.equal(others.proxy.logLevel, "debug");
  assert.equal(others.identity.issuer.tls.keyPEM, "");
});

const Deployment = z.looseObject({
  replicas: z.number(),
  template: z.looseObject({
    spec: z.looseObject({
      affinity: z.unknown().optional(),
      automountServiceAccountToken: z.boolean(),
      containers: z.array(
        z.looseObject({
          name: z.string(),
          image: z.string(),
          securityContext: z.looseObject({ readOnlyRootFilesystem: z.boolean(), runAsNonRoot: z.boolean() }),
          volumeMounts: z.array(z.looseObject({ mountPath: z.string() })),
        }),
      ),
    }),
  }),
});

test("each component has its proxy beside it, and only the controller has a token for the Kubernetes API", () => {
  const deployments = objects(render()).filter(({ kind }) => kind === "Deployment");
  assert.equal(deployments.length, 3);
  for (const { spec } of deployments) {
    const { template } = Deployment.parse(spec);
    assert.equal(template.spec.automountServiceAccountToken, false);
    const [proxy, controller, ...others] = template.spec.containers;
    assert.deepEqual(others, []);
    assert.equal(proxy?.name, "linkerd-proxy");
    const holds = (container: (typeof template.spec.containers)[number] | undefined) =>
      container?.volumeMounts.some(({ mountPath }) => mountPath.includes("kubernetes.io/serviceaccount"));
    assert.equal(holds(proxy), false);
    assert.equal(holds(controller), true);
    for (const container of template.spec.containers) {
      assert.ok(container.securityContext.readOnlyRootFilesystem && container.securityContext.runAsNonRoot);
      assert.match(container.image, /:1\.2\.3$/);
    }
  }
});

test("high availability: three replicas, apart, protected, and webhooks that fail closed", () => {
  const rendered = objects(render(HIGH_AVAILABILITY));
  const deployments = rendered
    .filter(({ kind }) => kind === "Deployment")
    .map(({ spec }) => Deployment.parse(spec));
  assert.deepEqual(
    deployments.map(({ replicas }) => replicas),
    [3, 3, 3],
  );
  assert.ok(deployments.every(({ template }) => template.spec.affinity !== undefined));
  assert.equal(rendered.filter(({ kind }) => kind === "PodDisruptionBudget").length, 3);
  assert.equal(render(HIGH_AVAILABILITY).split('failurePolicy: "Fail"').length - 1, 3);
});

test("values about the control plane's log, its calls and its certificates reach its containers", () => {
  const text = render({
    controllerLogLevel: "debug",
    controllerLogFormat: "plain",
    kubeAPI: { clientQPS: 7, clientBurst: 9 },
    identity: {
      kubeAPI: { clientQPS: 3 },
      issuer: { issuanceLifetime: "2h", clockSkewAllowance: "1m", trustSchedule: "2160h", trustSpread: "5s" },
    },
  });
  for (const flag of ["issuance-lifetime=2h", "clock-skew=1m", "trust-schedule=2160h", "trust-spread=5s"])
    assert.ok(text.includes(`"--${flag}"`), flag);
  const set = (name: string) => [...text.matchAll(new RegExp(`name: ${name}\n +value: "([^"]*)"`, "g"))];
  assert.deepEqual(
    set("HAUBERK_KUBE_QPS").map(([, value]) => value),
    ["7", "3", "7"],
  );
  assert.deepEqual(
    set("HAUBERK_LOG_LEVEL").map(([, value]) => value),
    ["debug", "debug", "debug"],
  );
});
