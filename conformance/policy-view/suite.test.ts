import assert from "node:assert/strict";
import { test } from "node:test";
import { Backend } from "./judge.ts";
import type { Pair } from "./pairs.ts";
import { verdicts, type Rule } from "./readings.ts";
import { bypasses } from "./suite.ts";

const admin: Rule = { kind: "prefix", path: "/admin", host: "", role: "" };
const pair: Pair = { name: "a test", rule: admin, request: "" };

test("a path that a backend would decode is a bypass if policy let it pass unseen", () => {
  const found = bypasses(pair, false, { url: "/x/..%2fadmin", host: "a", role: undefined });
  assert.ok(found.includes("decoded, then resolved"));
  assert.deepEqual(bypasses(pair, true, { url: "/admin/x", host: "a", role: undefined }), []);
});

function covered(rule: Rule, role?: string): boolean {
  return verdicts(rule, { url: "/admin", host: "A.test:80", role })["raw"] === true;
}

test("every part of a rule counts", () => {
  assert.ok(covered({ ...admin, host: "a.test" }));
  assert.ok(!covered({ ...admin, host: "b.test" }));
  assert.ok(covered({ ...admin, role: "user" }, "user"));
  assert.ok(!covered({ ...admin, role: "user" }, "user, admin"));
});

test("the backend sees what Node's server hands to an application", async () => {
  const backend = new Backend();
  const message = "GET //x/../admin HTTP/1.1\r\nHost: a\r\nX-Role: user\r\nX-Role: admin\r\n\r\n";
  const seen = await backend.see(Buffer.from(message));
  assert.deepEqual(seen, { url: "//x/../admin", host: "a", role: "user, admin" });
  assert.equal(await backend.see(Buffer.from("GET / HTTP/1.1\r\nHost : a\r\n\r\n")), undefined);
});
