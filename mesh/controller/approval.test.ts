import assert from "node:assert/strict";
import { test } from "node:test";
import { approvalOf, moduleFamily, pageOf, withheldPages, type Approval } from "./approval.ts";
import type { Page } from "./admin.ts";

const text = (body: string): Page => ({ contentType: "text/plain", render: () => ({ status: 200, body }) });
const PAGES = new Map([
  ["/ready", text("ready\n")],
  ["/metrics", text("own 1\n")],
]);
const shown = (path: string, approval: Approval) => pageOf(PAGES, path, approval)?.render();
const REFUSED: Approval = { type: "refused", why: "MD5 is not refused" };

test("approved mode is asked for by a variable, and never assumed", () => {
  assert.deepEqual(approvalOf({}), { type: "not-asked" });
  const approval = approvalOf({ HAUBERK_FIPS: "certified", OPENSSL_MODULES: "/nowhere" });
  assert.equal(approval.type, "refused", "this test runs outside of the profile");
});

test("B-19: a process from which approved mode is asked and that cannot show it is never ready, and says why", () => {
  assert.deepEqual(shown("/ready", REFUSED), { status: 503, body: "not ready: MD5 is not refused\n" });
  assert.equal(withheldPages("x").get("/ready")?.render().status, 503);
  assert.equal(withheldPages("x").get("/live")?.render().status, 200);
  assert.deepEqual(shown("/ready", { type: "not-asked" }), { status: 200, body: "ready\n" });
});

test("metrics say which module a process runs with, and whether it has shown approved mode", () => {
  const approved: Approval = { type: "approved", module: "OpenSSL FIPS Provider", version: "3.1.2" };
  assert.match(
    shown("/metrics", approved)?.body ?? "",
    /^own 1\n(#.*\n)+hauberk_crypto_module_info\{module="OpenSSL FIPS Provider",version="3\.1\.2",approved="true"\} 1\n$/,
  );
  for (const approval of [REFUSED, { type: "not-asked" }] as const)
    assert.equal(moduleFamily(approval).series[0]?.labels["approved"], "false");
});
