import assert from "node:assert/strict";
import { test } from "node:test";
import { DECODERS } from "../source/decode/decode.ts";
import type { Access } from "../source/kube/client.ts";
import { KubeError } from "../source/kube/error.ts";
import { ACCESS, guardOf, LEASES, ROLE_NAMES } from "./access.ts";

const access = (verb: Access["verb"], resource: string, more: Partial<Access> = {}): Access => ({
  verb,
  group: "",
  resource,
  namespace: undefined,
  name: undefined,
  ...more,
});

test("every kind that is followed may be listed and watched by the destination role", () => {
  const guard = guardOf("destination", "linkerd");
  const followed = DECODERS.filter(({ kind }) => kind !== "ServiceAccount");
  assert.ok(followed.length > 20);
  for (const { group, kind } of followed) {
    const plural = kind.toLowerCase().replace(/y$/, "ie").replace(/s$/, "se") + "s";
    guard(access("list", plural.replace("tlsroutees", "tlsroutes"), { group }));
    guard(access("watch", plural, { group }));
  }
});

test("a call outside the table is refused before it is made, and names itself", () => {
  const rows: readonly (readonly [Access, boolean])[] = [
    [access("list", "secrets"), false],
    [access("get", "secrets", { namespace: "linkerd", name: "linkerd-sp-validator-k8s-tls" }), true],
    [access("get", "secrets", { namespace: "linkerd", name: "linkerd-identity-issuer" }), false],
    [access("get", "secrets", { namespace: "shop", name: "linkerd-sp-validator-k8s-tls" }), false],
    [access("delete", "pods", { namespace: "shop", name: "web" }), false],
    [
      access("update", "leases", {
        group: "coordination.k8s.io",
        namespace: "linkerd",
        name: LEASES.status,
      }),
      true,
    ],
    [access("patch", "httproutes", { group: "policy.linkerd.io", namespace: "shop", name: "web" }), false],
    [
      access("patch", "httproutes/status", { group: "policy.linkerd.io", namespace: "shop", name: "web" }),
      true,
    ],
  ];
  const guard = guardOf("destination", "linkerd");
  for (const [asked, isAllowed] of rows) {
    const what = JSON.stringify(asked);
    if (isAllowed) assert.doesNotThrow(() => guard(asked), what);
    else
      assert.throws(
        () => guard(asked),
        (error) => error instanceof KubeError,
        what,
      );
  }
  assert.throws(
    () => guard(access("delete", "pods", { namespace: "shop", name: "web" })),
    /the role destination may not delete pods shop\/web/,
  );
});

test("no role is granted everything of anything, and names are not asked of verbs that RBAC cannot hold to them", () => {
  for (const role of ROLE_NAMES)
    for (const { resources, verbs, group, names } of ACCESS[role]) {
      assert.ok([group, ...resources, ...verbs].every((word) => !word.includes("*")));
      if (names !== undefined) assert.ok(!verbs.includes("create"), `${role} ${resources.join()}`);
    }
});
