import assert from "node:assert/strict";
import test from "node:test";
import { readReport } from "./junit.ts";

test("a report says of each case whether it passed, failed or was skipped", () => {
  const xml = `<testsuites><testsuite name="3.5">
<testcase package="http2/3.5" classname="Sends &quot;x&quot;" time="0.1"></testcase>
<testcase package="http2/3.5" classname="Sends y" time="0.1"><failure>GOAWAY expected
got DATA</failure></testcase>
<testcase package="http2/3.5" classname="Sends z" time="0.1"><skipped></skipped></testcase>
<testcase package="http2/3.5" classname="Sends w" time="0.1"/>
</testsuite></testsuites>`;
  assert.deepEqual(readReport(xml, "inbound"), [
    { name: 'inbound http2/3.5: Sends "x"', outcome: "passed" },
    { name: "inbound http2/3.5: Sends y", outcome: "failed", detail: "GOAWAY expected got DATA" },
    { name: "inbound http2/3.5: Sends z", outcome: "skipped" },
    { name: "inbound http2/3.5: Sends w", outcome: "passed" },
  ]);
});
