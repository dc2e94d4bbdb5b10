import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { workloadIdentity } from "./identity.ts";

const domain = { trustDomain: "cluster.local", controlPlaneNamespace: "linkerd" };

test("a service account has the names that Linkerd gives it", () => {
  assert.deepEqual(workloadIdentity({ namespace: "shop", name: "web" }, domain), {
    serviceAccount: { namespace: "shop", name: "web" },
    dnsName: "web.shop.serviceaccount.identity.linkerd.cluster.local",
    spiffeId: "spiffe://cluster.local/ns/shop/sa/web",
  });
});

test("names that Kubernetes would refuse have no identity", () => {
  const long = "a".repeat(63);
  for (const [namespace, name] of [
    ["", "web"],
    ["shop", ""],
    ["sh.op", "web"],
    ["shop", "Web"],
    ["shop", "web."],
    ["shop", "../web"],
    ["shop/sa/x", "web"],
    ["shop", "web\n"],
    ["shop", `${long}.${long}.${long}.${long}`],
  ] as const) {
    assert.equal(workloadIdentity({ namespace, name }, domain), undefined, `${namespace}/${name}`);
  }
});

test("two service accounts never share an identity", () => {
  const label = fc.stringMatching(/^[a-z0-9]{1,3}$/);
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("."));
  fc.assert(
    fc.property(label, name, label, name, (ns1, n1, ns2, n2) => {
      const one = workloadIdentity({ namespace: ns1, name: n1 }, domain);
      const two = workloadIdentity({ namespace: ns2, name: n2 }, domain);
      const isSame = ns1 === ns2 && n1 === n2;
      assert.equal(one?.dnsName === two?.dnsName, isSame);
      assert.equal(one?.spiffeId === two?.spiffeId, isSame);
    }),
  );
});
