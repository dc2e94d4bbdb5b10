import assert from "node:assert/strict";
import test from "node:test";
import { FRAMEWORKS, isFramework } from "../catalogue/control.ts";
import { healthy } from "../evidence/healthy.ts";
import { reportOf } from "../report/report.ts";
import { share } from "./chart.ts";
import { htmlOf } from "./page.ts";
import { STYLE } from "./style.ts";

const frameworks = Object.keys(FRAMEWORKS).filter(isFramework);
const page = (evidence = healthy()) =>
  htmlOf(reportOf(evidence, { digest: `sha256:${"0".repeat(64)}`, frameworks }));

void test("the page has everything in itself: nothing is fetched and no script runs", () => {
  const html = page();
  assert.doesNotMatch(html, /<script|<link|<img|<iframe|@import|url\((?!#)/);
  assert.match(html, /default-src 'none'/);
});

void test("what comes from outside is text, never markup", () => {
  const evidence = healthy();
  assert.ok(evidence.crypto.known);
  const observer = `shop/<img src=x onerror="alert(1)">`;
  evidence.crypto.value.plain.push({
    observer,
    direction: "inbound",
    peer: "port 80",
    scope: "mesh",
    connections: 1,
  });
  const html = page(evidence);
  assert.doesNotMatch(html, /<img/);
  assert.match(html, /&lt;img src=x onerror=&quot;/);
});

void test("every link leads to a check that is on the page, and every status is a word", () => {
  const html = page();
  const targets = [...html.matchAll(/href="#(check-[^"]+)"/g)].map(([, id]) => id);
  assert.ok(targets.length > 40);
  for (const id of targets) assert.ok(html.includes(`id="${id}"`), id);
  assert.equal(
    [...html.matchAll(/<td class="state [a-z]+"><svg.*?<\/svg>(satisfied|not satisfied|not assessable)/g)]
      .length,
    45,
  );
});

void test("every chart says in words what it shows", () => {
  const charts = [...page().matchAll(/<svg[^>]*role="img"[^>]*>/g)];
  assert.equal(charts.length, 2);
  for (const [chart] of charts) assert.match(chart, /aria-label="[^"]{40,}"/);
});

/** WCAG 2.2, "relative luminance". */
function luminance(colour: string): number {
  const channel = (at: number) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

void test("every colour of text has a contrast of 4.5 to both grounds", () => {
  const colours = new Map(
    [...STYLE.matchAll(/--([a-z]+): (#[0-9a-f]{6})/g)].map(([, name = "", value = ""]) => [name, value]),
  );
  for (const ground of ["ground", "tint"]) {
    for (const ink of ["ink", "soft", "good", "bad", "open", "accent"]) {
      const [light, dark] = [luminance(colours.get(ground) ?? ""), luminance(colours.get(ink) ?? "")];
      assert.ok((light + 0.05) / (dark + 0.05) >= 4.5, `${ink} on ${ground}`);
    }
  }
});

void test("a share is never rounded to all or nothing", () => {
  assert.deepEqual(
    [share(0, 0), share(0, 9), share(1, 10_000), share(9_999, 10_000), share(5, 5)],
    ["–", "0 %", "1 %", "99 %", "100 %"],
  );
});
