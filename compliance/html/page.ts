/** A report as one page that has everything in itself: no script, no font, no picture from elsewhere. Pure. */
import type { Status } from "../checks/check.ts";
import { byFramework, tally, type Report, type Statement } from "../report/report.ts";
import { describeStatus } from "../report/text.ts";
import { cryptoChart, frameworksChart, mark } from "./chart.ts";
import { escape } from "./escape.ts";
import { STYLE } from "./style.ts";

/** More findings of one check than this are counted, not listed; the JSON report has all of them. */
const FINDINGS_MAX = 12;

const CLASSES: Readonly<Record<Status, string>> = {
  satisfied: "good",
  "not-satisfied": "bad",
  "not-assessable": "open",
};

const state = (status: Status) => `${mark(status)}${escape(describeStatus(status))}`;

/** `21 November 2026, 12:00 UTC`. */
function readable(at: string): string {
  const date = new Date(at);
  const day = date.toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
  return `${day}, ${date.toISOString().slice(11, 16)} UTC`;
}

function about({ at, system, program, evidence }: Report): string {
  const rows = [
    [
      "Looked at",
      `${system.kind === "cluster" ? "Kubernetes cluster" : "standalone mesh"}, control plane in ${system.namespace}`,
    ],
    ["Evidence of", readable(at)],
    ["Gathered by", program],
    ["Evidence digest", evidence],
  ] as const;
  return `<dl class="about">${rows
    .map(
      ([name, value]) =>
        `<dt>${name}</dt><dd${name.endsWith("digest") ? ` class="digest"` : ""}>${escape(value)}</dd>`,
    )
    .join("")}</dl>`;
}

function totals(report: Report): string {
  const counts = tally(report.statements);
  return `<ul class="totals">${(["satisfied", "not-satisfied", "not-assessable"] as const)
    .map(
      (status) =>
        `<li class="${CLASSES[status]}"><b>${counts[status]}</b><span>${mark(status).replace("<svg", `<svg style="display:inline-block;vertical-align:-2px;margin-right:.4rem"`)}${describeStatus(status)}</span></li>`,
    )
    .join("")}</ul>`;
}

function statementRow({ status, control, topic, checks, beyond }: Statement): string {
  const links = checks.map((id) => `<a href="#check-${escape(id)}">${escape(id)}</a>`).join(", ");
  return `<tr><td class="control">${escape(control)}</td><td class="state ${CLASSES[status]}">${state(status)}</td><td>${escape(topic)}<div class="checks">Decided by ${links}</div><div class="beyond">Not shown by a mesh: ${escape(beyond)}</div></td></tr>`;
}

function frameworkTable([title, statements]: readonly [string, readonly Statement[]]): string {
  return `<h2>${escape(title)}</h2><table><thead><tr><th scope="col">Control</th><th scope="col">Status</th><th scope="col">What it is about</th></tr></thead><tbody>${statements.map(statementRow).join("")}</tbody></table>`;
}

function findings(lines: readonly string[]): string {
  if (lines.length === 0) return "";
  const rest = lines.length - FINDINGS_MAX;
  const shown = lines.slice(0, FINDINGS_MAX).map((line) => `<li>${escape(line)}</li>`);
  const more = rest > 0 ? [`<li class="more">and ${rest} more</li>`] : [];
  return `<ul>${[...shown, ...more].join("")}</ul>`;
}

function article({
  id,
  title,
  status,
  summary,
  findings: lines,
  evidence,
  remedy,
}: Report["checks"][number]): string {
  const sources = evidence.map(
    ({ query, object, at, digest }) =>
      `<p class="source">Evidence: ${escape(query)} of ${escape(object)}, ${escape(readable(at))}, <span class="digest">${escape(digest)}</span></p>`,
  );
  return [
    `<article id="check-${escape(id)}" class="${CLASSES[status]}"><header><h3>${escape(title)}</h3><span class="state">${state(status)}</span></header>`,
    `<p>${escape(summary)}</p>`,
    findings(lines),
    remedy === "" ? "" : `<p class="remedy"><strong>What would change it.</strong> ${escape(remedy)}</p>`,
    sources.length === 0 ? `<p class="source">Evidence: none was there.</p>` : sources.join(""),
    `<p class="source">Check <code>${escape(id)}</code></p></article>`,
  ].join("");
}

/** The worst first. */
const RANK: Readonly<Record<Status, number>> = { "not-satisfied": 0, "not-assessable": 1, satisfied: 2 };

/** The page. The same report gives the same bytes. */
export function htmlOf(report: Report): string {
  const frameworks = byFramework(report);
  const checks = report.checks.toSorted((a, b) => RANK[a.status] - RANK[b.status]);
  const title = `Compliance of the mesh`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escape(`${title}, ${readable(report.at)}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#statements">Skip to the statements</a>
<header>
<h1>${title}</h1>
<p class="lead">What the evidence of a running mesh and its release shows of ${report.statements.length} controls. A statement is satisfied only where evidence shows it; where evidence is absent, it is not assessable.</p>
${about(report)}
${totals(report)}
</header>
<main>
<h2>At a glance</h2>
<figure>${frameworksChart(frameworks)}<figcaption>Statements of each framework: satisfied / not satisfied / not assessable.</figcaption></figure>
<figure>${cryptoChart(report.facts)}<figcaption>Counted by the proxies: what is hatched is not protected in that way.</figcaption></figure>
<div id="statements">${frameworks.map(frameworkTable).join("\n")}</div>
<h2>Checks and their evidence</h2>
<p class="lead">Each check looks at evidence only. It names what was asked, when, and the digest of the answer, so that the same evidence can be judged again.</p>
${checks.map(article).join("\n")}
</main>
<footer><div>The wording of controls is this report's own and stands in no standard. Identifiers are those of the standards. A satisfied statement says what a mesh can show, and no more: what it cannot is named with every control.</div></footer>
</body>
</html>
`;
}
