import assert from "node:assert/strict";
import { test } from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import type { ManifestObject } from "@hauberk/mesh/source/manifests/document.ts";
import { append, verifyChain, type Head } from "@hauberk/release/audit/record.ts";
import fc from "fast-check";
import { changesOf, objectsAt, objectsOf } from "./policy-history.ts";

const object = (
  kind: string,
  name: string,
  rest: Readonly<Record<string, unknown>> = {},
): ManifestObject => ({
  apiVersion: kind === "Server" ? "policy.linkerd.io/v1beta3" : "v1",
  kind,
  metadata: {
    name,
    namespace: "shop",
    labels: {},
    annotations: {},
    uid: "u",
    creationTimestamp: undefined,
    deletionTimestamp: undefined,
    generation: 1,
    ownerReferences: [],
  },
  rest,
});

const states = fc.array(
  fc
    .dictionary(fc.constantFrom("a", "b", "c"), fc.constantFrom("1", "2"))
    .map((one) => new Map(Object.entries(one))),
  { minLength: 1, maxLength: 6 },
);

test("whatever happened, the record gives back every state at its time", () => {
  const signer = {
    classical: generateKeyPair("ecdsa-p256-sha256"),
    postQuantum: generateKeyPair("ml-dsa-87"),
  };
  const keys = { classical: signer.classical.publicKey, postQuantum: signer.postQuantum.publicKey };
  fc.assert(
    fc.property(states, (looks) => {
      const entries: string[] = [];
      let head: Head | undefined;
      let before: ReadonlyMap<string, string> = new Map();
      for (const [index, now] of looks.entries()) {
        const changed = changesOf(before, now);
        before = now;
        if (changed.length === 0) continue;
        const at = new Date(1_000_000 * (index + 1));
        const made = append(head, { at, actor: "x", act: { kind: "policy", changed } }, signer);
        entries.push(made.entry);
        head = made.head;
      }
      const chain = verifyChain(entries, head, keys);
      assert.ok(chain.ok);
      for (const [index, look] of looks.entries()) {
        const at = new Date(1_000_000 * (index + 1) + 1).toISOString();
        assert.deepEqual(objectsAt(chain.contents, at), look);
      }
    }),
    { numRuns: 30 },
  );
});

test("no environment of a pod, no Secret and no status is written down", () => {
  const pod = object("Pod", "web", {
    spec: {
      serviceAccountName: "web",
      containers: [{ name: "app", env: [{ name: "P", value: "hunter2" }] }],
    },
    status: { phase: "Running", podIP: "10.0.0.1", conditions: [{ type: "Ready" }] },
  });
  const server = object("Server", "one", { spec: { port: 80 }, status: { conditions: [] } });
  const recorded = objectsOf([pod, server, object("Secret", "s", { data: { a: "aHVudGVyMg==" } })]);
  assert.deepEqual([...recorded.keys()], ["Pod shop/web", "Server.policy.linkerd.io shop/one"]);
  const text = [...recorded.values()].join("\n");
  assert.doesNotMatch(text, /hunter2|aHVudGVyMg|conditions/);
  assert.match(text, /"podIP":"10.0.0.1"/);
});
