import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { inject } from "../../proxy-injector/inject.ts";
import { Pod } from "../../proxy-injector/pod.ts";
import { InjectorSettings } from "../../proxy-injector/settings.ts";
import { renderNode } from "../template/print.ts";
import { parseValues, type Tree } from "../values/values.ts";
import type { Component } from "./meta.ts";
import { REDIRECTION, initContainer, proxyContainer, validatorContainer } from "./sidecar.ts";
import { merge } from "../template/node.ts";

const Variable = z.looseObject({ name: z.string(), value: z.string().optional() });
const Container = z.looseObject({
  args: z.array(z.string()).optional(),
  env: z.array(Variable).default([]),
});

/** A component's ports do not matter here, so it has none. */
function ours(component: Component, given: Tree) {
  const scope = { namespace: "linkerd", version: "1.2.3", values: parseValues(given) };
  const of = (node: Parameters<typeof renderNode>[0]) => Container.parse(parse(renderNode(node, scope)));
  return {
    proxy: of(proxyContainer(component, [])),
    init: of(initContainer()),
    validator: of(validatorContainer()),
  };
}

/** What the injector would give the same pod. */
function injected(component: Component, given: Tree) {
  const settings = InjectorSettings.parse(
    parseValues({ linkerdVersion: "1.2.3", proxy: { nativeSidecar: false, await: false } }, given),
  );
  const { additions } = inject(Pod.parse({ metadata: {}, spec: { containers: [{ name: component }] } }), {
    mesh: { settings, namespace: "linkerd", trustAnchorsPem: "", trustRootSha256: "", createdBy: "" },
    namespace: { name: "linkerd", annotations: {} },
    owner: { kind: "Deployment", name: `linkerd-${component}` },
  });
  return {
    proxy: Container.parse(additions.containers.first[0]),
    first: Container.parse(additions.initContainers.first[0] ?? additions.initContainers.last[0]),
  };
}

type Parsed = z.infer<typeof Container>;

function variables({ env }: Parsed): ReadonlyMap<string, string> {
  return new Map(env.map(({ name, value = "elsewhere" }) => [name, value]));
}

/** What a control plane's own proxy is told otherwise than an application's. */
const OTHERWISE = new Set([
  // From the ConfigMap, since pods are written before anybody reads it.
  "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
  // Written out, since the component is known.
  "LINKERD2_PROXY_IDENTITY_LOCAL_NAME",
  "_pod_uid",
  "_pod_sa",
]);
const LOCAL: Readonly<Record<Component, readonly string[]>> = {
  destination: ["LINKERD2_PROXY_DESTINATION_SVC_ADDR", "LINKERD2_PROXY_POLICY_SVC_ADDR"],
  identity: ["LINKERD2_PROXY_IDENTITY_SVC_ADDR"],
  "proxy-injector": [],
};

for (const [name, given] of [
  ["the defaults", {}],
  [
    "IPv4 alone and other ports",
    { disableIPv6: true, proxy: { ports: { inbound: 5143 }, logLevel: "debug" } },
  ],
  ["another domain", { clusterDomain: "west.test", identityTrustDomain: "trust.test" }],
] as const satisfies readonly (readonly [string, Tree])[]) {
  for (const component of ["destination", "identity", "proxy-injector"] as const) {
    test(`with ${name}, the proxy beside ${component} is the one that the injector would add`, () => {
      const [own, theirs] = [ours(component, given), injected(component, given)];
      const [mine, expected] = [variables(own.proxy), variables(theirs.proxy)];
      for (const [variable, value] of expected) {
        if (OTHERWISE.has(variable) || LOCAL[component].includes(variable)) continue;
        assert.equal(mine.get(variable), value, variable);
      }
      for (const variable of mine.keys()) assert.ok(expected.has(variable), variable);
      for (const variable of LOCAL[component]) assert.match(mine.get(variable) ?? "", /^localhost\.:/);
      const { env: _own, ports: _ports, livenessProbe: _live, readinessProbe: _ready, ...rest } = own.proxy;
      const same = Object.keys(rest).filter((key) => key !== "volumeMounts");
      for (const key of same) assert.deepEqual(rest[key], theirs.proxy[key], key);
    });
  }
}

test("the redirection is the injector's, and lets the control plane ask the Kubernetes API without its proxy", () => {
  const theirs = injected("destination", {}).first.args?.join(" ") ?? "";
  const own = ours("destination", {}).init.args?.join(" ");
  assert.equal(own, theirs.replace("--outbound-ports-to-ignore ", "--outbound-ports-to-ignore 443,6443,"));
});

test("with the CNI plugin there is no redirection, and the same validator", () => {
  const given = { cniEnabled: true, disableIPv6: true };
  assert.deepEqual(ours("identity", given).validator.args, injected("identity", given).first.args);
});

test("with the CNI plugin the pod says what is redirected, in the injector's words", () => {
  for (const given of [
    {},
    { disableIPv6: true },
    { disableIPv6: true, proxyInit: { skipSubnets: "10.0.0.0/8" } },
  ] satisfies readonly Tree[]) {
    const values = parseValues({ cniEnabled: true }, given);
    const scope = { namespace: "linkerd", version: "1.2.3", values };
    const annotations = z
      .record(z.string(), z.string())
      .parse(parse(renderNode(merge(...REDIRECTION), scope)));
    const words = z.array(z.string()).parse(JSON.parse(annotations["hauberk.io/redirect"] ?? ""));
    const init = ours("identity", { ...given, cniEnabled: true })
      .init.args?.join(" ")
      .replaceAll("=", " ");
    assert.equal(`init ${words.join(" ")}`.replaceAll("=", " "), init);
  }
});
