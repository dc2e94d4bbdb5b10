/** Routes on EgressNetworks, and routes of TLS and bytes anywhere: manifests on one side, what a proxy is told on the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { OutboundExtensionSchema } from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import type { Metadata } from "../api/gen/meta_pb.ts";
import {
  ProxyProtocol_TlsSchema,
  type OpaqueRoute,
  type OutboundPolicy,
  type TlsRoute,
} from "../api/gen/outbound_pb.ts";
import { statusesOf, warningsOf } from "../policy/status.ts";
import { clusterIpFor } from "../source/manifests/cluster_ip.ts";
import { worldOf } from "./fixture.ts";

const EXTENSION_FIELD = 1000;
const OUTSIDE = "8.8.8.8:443";

const network = (policy: string) => `apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: all, namespace: web}
spec: {trafficPolicy: ${policy}}
`;
const ON_NETWORK = "{group: policy.linkerd.io, kind: EgressNetwork, name: all, port: 443}";
const ON_SERVICE = "{group: '', kind: Service, name: db, port: 443}";

const route = (
  kind: string,
  name: string,
  { parent = ON_NETWORK, hosts = "", rules = "[{}]", version = "v1" } = {},
) => `apiVersion: gateway.networking.k8s.io/${version}
kind: ${kind}
metadata: {name: ${name}, namespace: web}
spec: {parentRefs: [${parent}], rules: ${rules} ${hosts === "" ? "" : `, hostnames: [${hosts}]`}}
`;

const service = (name: string, appProtocol = "") => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: web}
spec: {selector: {app: ${name}}, ports: [{port: 443 ${appProtocol}}]}
`;

function nameOf(metadata: Metadata | undefined): string {
  const kind = metadata?.kind;
  return kind?.case === "resource" ? kind.value.name : (kind?.value ?? "?");
}

/** One route as text: name, server names, refusal, backends with weights. */
function routeText(one: OpaqueRoute | TlsRoute): string {
  const names =
    "snis" in one
      ? one.snis.map(({ match }) =>
          match.case === "suffix"
            ? `*.${match.value.reverseLabels.toReversed().join(".")}`
            : (match.value ?? "?"),
        )
      : [];
  const rules = one.rules.map(({ filters, backends }) => {
    const refusals = filters.map(({ kind }) => `!${kind.case ?? "?"}`);
    const kind = backends?.kind;
    const to =
      kind?.case === "randomAvailable"
        ? kind.value.backends.map(
            ({ weight, backend }) =>
              `${nameOf(backend?.backend?.metadata)}=${weight}${backend?.filters.length ? "!" : ""}`,
          )
        : kind?.case === "firstAvailable"
          ? kind.value.backends.map(({ backend }) => nameOf(backend?.metadata))
          : [];
    return [...refusals, ...to].join(" ");
  });
  return `${nameOf(one.metadata)}(${names.join()}) ${rules.join(" / ")}`;
}

function text(policy: OutboundPolicy | undefined): string {
  const kind = policy?.protocol?.kind;
  const extension = policy?.$unknown?.find(({ no }) => no === EXTENSION_FIELD);
  // The field's bytes begin with their own length.
  const own =
    extension && fromBinary(OutboundExtensionSchema, extension.data.subarray(lengthOf(extension.data)));
  const tls = own?.detectedTls && fromBinary(ProxyProtocol_TlsSchema, own.detectedTls).routes.map(routeText);
  switch (kind?.case) {
    case "detect": {
      const { http1, opaque } = kind.value;
      const http = http1?.routes.map(({ metadata }) => nameOf(metadata)) ?? [];
      const bytes = opaque?.routes.map(routeText) ?? [];
      return ["detect", http.join(","), ...bytes, ...(tls ? ["tls", ...tls] : [])].join(" | ");
    }
    case "grpc":
      return `grpc ${kind.value.routes.map(({ metadata }) => nameOf(metadata)).join(",")}`;
    case "tls":
    case "opaque":
      return [kind.case, ...kind.value.routes.map(routeText)].join(" | ");
    case "http1":
    case "http2":
      return kind.case;
    case undefined:
      return "none";
  }
}

/** Bytes of a varint. */
function lengthOf(bytes: Uint8Array): number {
  return bytes.findIndex((byte) => byte < 0x80) + 1;
}

const ask = (texts: readonly string[], target = OUTSIDE) => text(worldOf(texts).outbound(target));

test("what a network does with a port, by the routes that name it", () => {
  const allow = network("Allow");
  const deny = network("Deny");
  const tls = route("TLSRoute", "names", { hosts: "a.test, '*.b.test'" });
  const tcp = route("TCPRoute", "bytes");
  const http = route("HTTPRoute", "web", { hosts: "a.test" });
  const rows: readonly (readonly [string, readonly string[], string])[] = [
    ["none, allowed", [allow], "detect | http | opaque() all"],
    ["none, denied", [deny], "detect | egress-denied | egress-denied() !forbidden"],
    ["TLS, allowed", [allow, tls], "tls | names(a.test,*.b.test) all | tls() all"],
    ["TLS, denied", [deny, tls], "tls | names(a.test,*.b.test) all | egress-denied() !forbidden"],
    ["TCP", [deny, tcp], "opaque | bytes() all"],
    ["TLS before TCP", [deny, tcp, tls], "tls | names(a.test,*.b.test) all | egress-denied() !forbidden"],
    ["HTTP", [deny, http], "detect | web,egress-denied | egress-denied() !forbidden"],
    ["HTTP, allowed", [allow, http], "detect | web,http | opaque() all"],
    ["HTTP and TCP", [deny, http, tcp], "detect | web,egress-denied | bytes() all"],
    [
      "HTTP and TLS",
      [deny, http, tls],
      "detect | web,egress-denied | tls-by-name() !forbidden | tls | names(a.test,*.b.test) all | egress-denied() !forbidden",
    ],
    ["gRPC", [deny, route("GRPCRoute", "calls"), tls], "grpc calls,egress-denied"],
    ["gRPC, allowed", [allow, route("GRPCRoute", "calls")], "grpc calls,grpc"],
    [
      "no port",
      [deny, route("TCPRoute", "bytes", { parent: ON_NETWORK.replace(", port: 443", "") })],
      "detect | egress-denied | egress-denied() !forbidden",
    ],
    [
      "another port",
      [deny, route("TCPRoute", "bytes", { parent: ON_NETWORK.replace("443", "80") })],
      "detect | egress-denied | egress-denied() !forbidden",
    ],
  ];
  for (const [what, texts, expected] of rows) assert.equal(ask(texts), expected, what);
});

test("routes of TLS and bytes on a Service: every rule's weights add up, what is missing keeps its share", () => {
  const target = `${clusterIpFor("web", "db")}:443`;
  const services = [service("db"), service("old"), service("new")];
  const rules =
    "[{backendRefs: [{name: old, port: 443, weight: 1}]}, {backendRefs: [{name: new, port: 443, weight: 3}, {name: gone, port: 443, weight: 2}, {name: old, port: 443, weight: 0}]}]";
  for (const version of ["v1alpha2", "v1alpha3", "v1"]) {
    const options = { parent: ON_SERVICE, rules, version };
    assert.equal(
      ask([...services, route("TCPRoute", "bytes", options)], target),
      "opaque | bytes() old=1 new=3 gone=2!",
    );
    assert.equal(
      ask([...services, route("TLSRoute", "names", { ...options, hosts: "a.test" })], target),
      "tls | names(a.test) old=1 new=3 gone=2!",
    );
  }
  const nowhere = route("TCPRoute", "bytes", {
    parent: ON_SERVICE,
    rules: "[{backendRefs: [{name: old, port: 443, weight: 0}]}]",
  });
  assert.equal(ask([...services, nowhere], target), "opaque | bytes() !invalid");
});

test("a TLSRoute holds on a port that is declared opaque, too", () => {
  const texts = [
    service("db", ", appProtocol: https"),
    route("TLSRoute", "names", { parent: ON_SERVICE, hosts: "a.test" }),
  ];
  assert.equal(ask(texts, `${clusterIpFor("web", "db")}:443`), "tls | names(a.test) db");
});

test("a server name is never an address", () => {
  const { problems } = worldOf([network("Deny"), route("TLSRoute", "names", { hosts: "192.0.2.1" })]);
  assert.match(problems[0]?.message ?? "", /is an address/);
});

function reasons(texts: readonly string[]): readonly string[] {
  const { snapshot, settings } = worldOf(texts);
  return statusesOf(snapshot, settings)
    .filter(({ kind }) => kind !== "EgressNetwork")
    .map(({ kind, conditions }) => `${kind} ${conditions.map(({ reason }) => reason).join()}`);
}

function warned(...texts: readonly string[]): readonly string[] {
  return warningsOf(worldOf([network("Deny"), ...texts]).snapshot).map(({ kind, name }) => `${kind} ${name}`);
}

test("the status tells of a missing port, a missing network and a parent of the wrong kind", () => {
  for (const kind of ["TLSRoute", "TCPRoute", "HTTPRoute", "GRPCRoute"]) {
    assert.deepEqual(reasons([network("Deny"), route(kind, "r")]), [`${kind} Accepted,ResolvedRefs`]);
    assert.deepEqual(reasons([route(kind, "r")]), [`${kind} NoMatchingParent,ResolvedRefs`]);
    const portless = route(kind, "r", { parent: ON_NETWORK.replace(", port: 443", "") });
    assert.deepEqual(reasons([network("Deny"), portless]), [`${kind} NoMatchingParent,ResolvedRefs`]);
  }
  const onServer = route("TCPRoute", "r", { parent: "{group: policy.linkerd.io, kind: Server, name: s}" });
  assert.deepEqual(reasons([onServer]), ["TCPRoute NotAllowedByListeners,ResolvedRefs"]);
  const gone = route("TCPRoute", "r", { rules: "[{backendRefs: [{name: gone, port: 1}]}]" });
  assert.deepEqual(reasons([network("Deny"), gone]), ["TCPRoute Accepted,BackendNotFound"]);
});

test("a route that another leaves without effect is a warning", () => {
  const [tls, tcp, grpc] = [route("TLSRoute", "t"), route("TCPRoute", "b"), route("GRPCRoute", "g")];
  assert.deepEqual(warned(tls), []);
  assert.deepEqual(warned(tls, tcp), ["TCPRoute b"]);
  assert.deepEqual(warned(tls, tcp, grpc), ["TLSRoute t", "TCPRoute b"]);
  assert.deepEqual(warned(tcp, route("TCPRoute", "c")), ["TCPRoute c"]);
});
