import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { admit } from "./admit.ts";
import { inject, type InjectionContext } from "./inject.ts";
import { serviceOpaquePorts } from "./inherit.ts";
import { patchOf } from "./patch.ts";
import { Pod, Service } from "./pod.ts";
import { readSettings } from "./settings.ts";

const Shape = z.object({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()).default([]),
  env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).default([]),
  restartPolicy: z.string().optional(),
  lifecycle: z.unknown().optional(),
  resources: z.unknown().optional(),
  securityContext: z.looseObject({}).optional(),
  startupProbe: z.unknown().optional(),
  ports: z.unknown().optional(),
});

const VALUES = "linkerdVersion: 1.2.3\nproxy: {image: {name: mesh/proxy}}\n";

function context(change: { values?: string; namespace?: Record<string, string> } = {}): InjectionContext {
  return {
    mesh: {
      settings: readSettings(change.values ?? VALUES, "values"),
      namespace: "linkerd",
      trustAnchorsPem: "PEM",
      trustRootSha256: "abc",
      createdBy: "hauberk/proxy-injector 1.2.3",
    },
    namespace: { name: "shop", annotations: change.namespace ?? {} },
    owner: { kind: "Deployment", name: "web" },
  };
}

const pod = (annotations: Record<string, string> = {}, spec: object = {}) =>
  Pod.parse({
    metadata: { generateName: "web-", annotations },
    spec: {
      containers: [{ name: "app", image: "app:1", ports: [{ name: "http", containerPort: 8080 }] }],
      ...spec,
    },
  });

const shapes = (list: readonly unknown[]) => list.map((one) => Shape.parse(one));

const service = (annotations: object = {}) =>
  Service.parse({
    metadata: { name: "db", annotations },
    spec: { ports: [{ port: 80, targetPort: 3306 }, { port: 25 }] },
  });

const paths = (target: Pod) => patchOf(target, inject(target, context()).additions).map(({ path }) => path);

const kind = (annotations: Record<string, string>, namespaceAnnotations: Record<string, string> = {}) => {
  const { type, at } = admit(pod(annotations), { ...ADMISSION, namespaceAnnotations });
  return [type, at];
};

function injected(
  annotations: Record<string, string> = {},
  at: InjectionContext = context(),
  spec: object = {},
) {
  const { additions, problems } = inject(pod(annotations, spec), at);
  const { first, last } = additions.initContainers;
  const init = shapes([...first, ...last]);
  const proxy = [...init, ...shapes(additions.containers.first)].find(({ name }) => name === "linkerd-proxy");
  assert.ok(proxy);
  const env = Object.fromEntries(proxy.env.map(({ name, value }) => [name, value]));
  return { additions, problems, proxy, init, env, debug: shapes(additions.containers.last) };
}

test("by default a pod gets the redirection, then a native sidecar, before its own init containers", () => {
  const { additions, init, proxy, problems } = injected();
  assert.deepEqual(problems, []);
  assert.deepEqual(
    init.map(({ name }) => name),
    ["linkerd-init", "linkerd-proxy"],
  );
  assert.equal(additions.initContainers.first.length, 2);
  assert.equal(proxy.restartPolicy, "Always");
  assert.ok(proxy.startupProbe);
  assert.equal(proxy.lifecycle, undefined);
  assert.equal(proxy.image, "mesh/proxy:1.2.3");
  assert.deepEqual(proxy.ports, [
    { name: "linkerd-proxy", containerPort: 4143 },
    { name: "linkerd-admin", containerPort: 4191 },
  ]);
  assert.deepEqual(additions.labels, {
    "linkerd.io/control-plane-ns": "linkerd",
    "linkerd.io/workload-ns": "shop",
    "linkerd.io/proxy-deployment": "web",
  });
  assert.deepEqual(additions.annotations, {
    "linkerd.io/created-by": "hauberk/proxy-injector 1.2.3",
    "linkerd.io/proxy-version": "1.2.3",
    "linkerd.io/trust-root-sha256": "abc",
  });
});

test("the proxy is told of its pod by references that Kubernetes resolves", () => {
  const { env, proxy } = injected();
  assert.equal(env["LINKERD2_PROXY_POLICY_WORKLOAD"], '{"ns":"$(_pod_ns)","pod":"$(_pod_name)"}');
  assert.equal(
    env["LINKERD2_PROXY_IDENTITY_LOCAL_NAME"],
    "$(_pod_sa).$(_pod_ns).serviceaccount.identity.linkerd.cluster.local",
  );
  assert.equal(
    env["LINKERD2_PROXY_DESTINATION_SVC_ADDR"],
    "linkerd-dst-headless.linkerd.svc.cluster.local.:8086",
  );
  assert.equal(env["LINKERD2_PROXY_INBOUND_PORTS"], "8080");
  assert.equal(env["LINKERD2_PROXY_INBOUND_LISTEN_ADDR"], "[::]:4143");
  const names = proxy.env.map(({ name }) => name);
  assert.ok(names.indexOf("_pod_ips") < names.indexOf("LINKERD2_PROXY_INBOUND_IPS"));
  assert.equal(new Set(names).size, names.length);
});

test("all added containers are restricted, but for the one capability of the redirection", () => {
  for (const values of [VALUES, `${VALUES}cniEnabled: true\n`]) {
    const { init } = injected({}, context({ values }));
    for (const { name, securityContext } of init) {
      assert.ok(securityContext);
      const { capabilities, ...rest } = securityContext;
      assert.deepEqual(capabilities, {
        drop: ["ALL"],
        ...(name === "linkerd-init" ? { add: ["NET_ADMIN"] } : {}),
      });
      assert.equal(rest["allowPrivilegeEscalation"], false);
      assert.equal(rest["runAsNonRoot"], true);
      assert.deepEqual(rest["seccompProfile"], { type: "RuntimeDefault" });
    }
  }
});

test("a classic proxy is the first container, is waited for, and the redirection comes after all init containers", () => {
  const { additions, init, proxy } = injected({ "config.linkerd.io/proxy-enable-native-sidecar": "false" });
  assert.deepEqual(
    init.map(({ name }) => name),
    ["linkerd-init"],
  );
  assert.equal(additions.initContainers.first.length, 0);
  assert.equal(proxy.restartPolicy, undefined);
  assert.deepEqual(proxy.lifecycle, {
    postStart: { exec: { command: ["/usr/lib/linkerd/linkerd-await", "--timeout=2m", "--port=4191"] } },
  });
  const unawaited = injected({
    "config.linkerd.io/proxy-enable-native-sidecar": "false",
    "config.linkerd.io/proxy-await": "disabled",
  });
  assert.equal(unawaited.proxy.lifecycle, undefined);
});

test("with the CNI plugin there is a validator and no privilege, first of all", () => {
  const { additions, init } = injected({}, context({ values: `${VALUES}cniEnabled: true\n` }));
  assert.deepEqual(
    init.map(({ name }) => name),
    ["linkerd-network-validator", "linkerd-proxy"],
  );
  assert.ok(!JSON.stringify(additions.volumes).includes("xtables"));
  const words: unknown = JSON.parse(additions.annotations["hauberk.io/redirect"] ?? "");
  assert.ok(Array.isArray(words) && words.includes("--proxy-uid"));
});

test("the stable spelling of an annotation counts before beta, and beta before alpha, wherever they stand", () => {
  const native = (annotations: Record<string, string>, namespace: Record<string, string> = {}) =>
    injected(annotations, context({ namespace })).proxy.restartPolicy === "Always";
  const [stable, beta, alpha] = ["config", "config.beta", "config.alpha"].map(
    (prefix) => `${prefix}.linkerd.io/proxy-enable-native-sidecar`,
  );
  assert.ok(stable && beta && alpha);
  assert.equal(native({ [alpha]: "false" }), false);
  assert.equal(native({ [alpha]: "false", [beta]: "true" }), true);
  assert.equal(native({ [beta]: "true" }, { [stable]: "false" }), false);
  const waits = injected({ "config.alpha.linkerd.io/proxy-wait-before-exit-seconds": "7" });
  assert.deepEqual(waits.proxy.lifecycle, { preStop: { sleep: { seconds: 7 } } });
});

test("image, version, user, resources and log come from annotations, the pod's before its namespace's", () => {
  const namespace = {
    "config.linkerd.io/proxy-version": "2.0.0",
    "config.linkerd.io/proxy-cpu-limit": "1500m",
  };
  const { proxy, init, env, additions } = injected(
    {
      "config.linkerd.io/proxy-version": "3.0.0",
      "config.linkerd.io/proxy-uid": "1337",
      "config.linkerd.io/proxy-gid": "1338",
      "config.linkerd.io/proxy-memory-request": "20Mi",
      "config.linkerd.io/proxy-cpu-ratio-limit": "0.5",
      "config.linkerd.io/proxy-log-level": "debug",
    },
    context({ namespace }),
  );
  assert.equal(proxy.image, "mesh/proxy:3.0.0");
  assert.equal(additions.annotations["linkerd.io/proxy-version"], "3.0.0");
  assert.deepEqual(proxy.resources, { limits: { cpu: "1500m" }, requests: { memory: "20Mi" } });
  assert.deepEqual([env["LINKERD2_PROXY_CORES"], env["LINKERD2_PROXY_CORES_MAX_RATIO"]], ["2", "0.5"]);
  assert.equal(env["LINKERD2_PROXY_LOG"], "debug");
  assert.equal(proxy.securityContext?.["runAsUser"], 1337);
  assert.ok(init[0]?.args.join(" ").includes("--proxy-uid 1337"));
});

test("a proxy of another make runs beside our redirection", () => {
  const { proxy, init } = injected({
    "config.linkerd.io/proxy-image": "cr.l5d.io/linkerd/proxy",
    "config.linkerd.io/proxy-version": "edge-26.1.1",
  });
  assert.equal(proxy.image, "cr.l5d.io/linkerd/proxy:edge-26.1.1");
  assert.equal(init[0]?.image, "mesh/proxy:1.2.3");
});

test("additional environment is merged by name, also where its values come from elsewhere", () => {
  const { proxy } = injected(
    {
      "config.linkerd.io/proxy-additional-env": JSON.stringify([
        { name: "A", value: "pod" },
        { name: "LINKERD2_PROXY_LOG", valueFrom: { configMapKeyRef: { name: "c", key: "k" } } },
      ]),
    },
    context({
      namespace: {
        "config.linkerd.io/proxy-additional-env": '[{"name":"A","value":"ns"},{"name":"B","value":"ns"}]',
      },
      values: VALUES.replace(
        "{image",
        "{additionalEnv: [{name: B, value: mesh}, {name: C, value: mesh}], image",
      ),
    }),
  );
  const value = (name: string) => proxy.env.filter((one) => one.name === name).map((one) => one.value);
  assert.deepEqual([value("A"), value("B"), value("C")], [["pod"], ["ns"], ["mesh"]]);
  assert.deepEqual(value("LINKERD2_PROXY_LOG"), [undefined]);
});

test("named ports may stand in opaque-ports, and a pod that has a default opaque port says so", () => {
  const { env } = injected({ "config.linkerd.io/opaque-ports": "http,9000" });
  assert.equal(env["LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION"], "8080,9000");
  const spec = {
    containers: [{ name: "db", image: "db", ports: [{ containerPort: 3306 }, { containerPort: 80 }] }],
  };
  const opaque = injected({}, context(), spec).additions.annotations["config.linkerd.io/opaque-ports"];
  assert.equal(opaque, "3306");
  const none = injected({ "config.linkerd.io/opaque-ports": "" }, context(), spec);
  assert.equal(none.env["LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION"], "");
});

test("a pod shows what its namespace has said, once", () => {
  const { additions } = injected(
    { "config.linkerd.io/proxy-log-level": "info" },
    context({
      namespace: {
        "linkerd.io/inject": "enabled",
        "config.linkerd.io/proxy-log-level": "debug",
        "config.linkerd.io/skip-outbound-ports": "25",
        "other.io/x": "y",
      },
    }),
  );
  assert.deepEqual(Object.keys(additions.annotations).toSorted(), [
    "config.linkerd.io/skip-outbound-ports",
    "linkerd.io/created-by",
    "linkerd.io/inject",
    "linkerd.io/proxy-version",
    "linkerd.io/trust-root-sha256",
  ]);
});

test("a Service takes its namespace's opaque ports, or those of its own that are opaque by default", () => {
  const settings = readSettings(VALUES, "values");
  const name = "config.linkerd.io/opaque-ports";
  assert.deepEqual(serviceOpaquePorts(service(), { namespace: {}, settings }), { [name]: "3306,25" });
  assert.deepEqual(serviceOpaquePorts(service(), { namespace: { [name]: "80" }, settings }), {
    [name]: "80",
  });
  assert.deepEqual(serviceOpaquePorts(service({ [name]: "" }), { namespace: {}, settings }), {});
});

test("a debug container needs an image, and is last", () => {
  const asked = { "config.linkerd.io/enable-debug-sidecar": "true" };
  assert.match(injected(asked).problems[0]?.message ?? "", /no image is named/);
  const { debug, problems } = injected({ ...asked, "config.linkerd.io/debug-image": "tools" });
  assert.deepEqual(problems, []);
  assert.equal(debug[0]?.image, "tools:1.2.3");
});

test("ports that are probed count as ports of the pod, by number and by name", () => {
  const spec = {
    containers: [
      {
        name: "app",
        ports: [
          { containerPort: 53, protocol: "UDP" },
          { containerPort: 80, name: "http" },
        ],
        livenessProbe: { httpGet: { port: 9090 } },
        readinessProbe: { httpGet: { port: "http" } },
        startupProbe: { grpc: { port: 9091 } },
      },
    ],
  };
  assert.equal(injected({}, context(), spec).env["LINKERD2_PROXY_INBOUND_PORTS"], "80,9090,9091");
});

test("the patch adds to lists that are there and makes those that are not", () => {
  const bare = Pod.parse({ spec: { containers: [{ name: "app" }] } });
  assert.deepEqual(paths(bare), [
    "/metadata",
    "/metadata/labels",
    "/metadata/annotations",
    "/spec/volumes",
    "/spec/initContainers",
  ]);
  const full = Pod.parse({
    metadata: { labels: { a: "b" }, annotations: { c: "d" } },
    spec: { containers: [{ name: "app" }], initContainers: [{ name: "own" }], volumes: [{ name: "v" }] },
  });
  const all = paths(full);
  assert.ok(all.includes("/metadata/labels/linkerd.io~1control-plane-ns"));
  assert.deepEqual(
    all.filter((path) => path.includes("initContainers")),
    ["/spec/initContainers/0", "/spec/initContainers/1"],
  );
  assert.deepEqual(new Set(all.filter((path) => path.includes("volumes"))), new Set(["/spec/volumes/-"]));
});

const ADMISSION = { namespaceAnnotations: {}, unsupportedPods: "refuse", proxyUid: 2102 } as const;
const ENABLED = { "linkerd.io/inject": "enabled" };

test("a pod is injected by its own word or its namespace's, and left alone otherwise", () => {
  assert.deepEqual(kind({}), ["skip", ""]);
  assert.deepEqual(kind(ENABLED), ["inject", "workload"]);
  assert.deepEqual(kind({}, ENABLED), ["inject", "namespace"]);
  assert.deepEqual(kind({ "linkerd.io/inject": "disabled" }, ENABLED), ["skip", "workload"]);
  assert.deepEqual(kind({ "linkerd.io/inject": "ingress" }), ["inject", "workload"]);
});

test("who asks for the mesh and cannot be in it is refused with a reason that says what to do", () => {
  const table: readonly (readonly [object, RegExp])[] = [
    [{ hostNetwork: true }, /hostNetwork.*linkerd\.io\/inject: disabled/],
    [{ containers: [{ name: "istio-proxy" }] }, /istio-proxy is a proxy's/],
    [{ securityContext: { runAsUser: 2102 } }, /runs as user 2102.*not redirected/],
  ];
  for (const [spec, expected] of table) {
    const admission = admit(pod(ENABLED, spec), ADMISSION);
    assert.ok(admission.type === "refuse", JSON.stringify(spec));
    assert.match(admission.message, expected);
    assert.equal(admit(pod({}, spec), ADMISSION).type, "skip");
  }
  assert.equal(admit(pod({ "linkerd.io/inject": "yes" }), ADMISSION).type, "refuse");
  const skips = { ...ADMISSION, unsupportedPods: "skip" } as const;
  assert.equal(admit(pod(ENABLED, { hostNetwork: true }), skips).type, "skip");
});

test("a pod that has our proxy already is left as it is", () => {
  const target = Pod.parse({
    metadata: { annotations: ENABLED, labels: { "linkerd.io/control-plane-ns": "linkerd" } },
    spec: { containers: [{ name: "app" }], initContainers: [{ name: "linkerd-proxy" }] },
  });
  assert.deepEqual(admit(target, ADMISSION), {
    type: "skip",
    reason: "sidecar_already_exists",
    at: "workload",
  });
});

test("ingress mode is refused to a proxy that does not have it, and given to one that does", () => {
  const closes = (annotations: Record<string, string>) =>
    injected(annotations).problems.map((problem) => problem.closes);
  assert.deepEqual(closes({ "linkerd.io/inject": "ingress" }), [true]);
  const other = injected({
    "linkerd.io/inject": "ingress",
    "config.linkerd.io/proxy-image": "cr.l5d.io/linkerd/proxy",
  });
  assert.deepEqual(other.problems, []);
  assert.equal(other.env["LINKERD2_PROXY_INGRESS_MODE"], "true");
});

test("a Job with a classic proxy is warned of: it does not end", () => {
  const at = { ...context(), owner: { kind: "Job", name: "once" } };
  assert.deepEqual(injected({}, at).problems, []);
  const [problem] = injected({ "config.linkerd.io/proxy-enable-native-sidecar": "false" }, at).problems;
  assert.match(problem?.message ?? "", /do not end/);
});

test("D-02: in the FIPS profile every proxy is of it, must show approved mode, and no pod can change that", () => {
  const fips = context({ values: `${VALUES}fips: {enabled: true}\n` });
  const made = (annotations: Record<string, string>) => inject(pod(annotations), fips);
  const [proxy] = shapes(made({}).additions.initContainers.first.slice(-1));
  assert.equal(proxy?.image, "mesh/proxy-fips:1.2.3");
  assert.equal(proxy.env.findLast(({ name }) => name === "HAUBERK_PROXY_FIPS")?.value, "required");
  const closes = (annotations: Record<string, string>) =>
    made(annotations).problems.map(({ annotation, closes: isClosing }) => [annotation, isClosing]);
  assert.deepEqual(closes({ "config.linkerd.io/proxy-image": "mesh/proxy" }), [
    ["config.linkerd.io/proxy-image", true],
  ]);
  const variables = JSON.stringify([{ name: "HAUBERK_PROXY_FIPS", value: "" }]);
  assert.deepEqual(closes({ "config.linkerd.io/proxy-additional-env": variables }), [
    ["config.linkerd.io/proxy-additional-env", true],
  ]);
  const [same] = shapes(inject(pod(), context()).additions.initContainers.first.slice(-1));
  assert.equal(same?.image, "mesh/proxy:1.2.3");
  assert.ok(same.env.every(({ name }) => name !== "HAUBERK_PROXY_FIPS"));
});
