/** Charts as inline SVG. Each says in words what it shows; patterns tell the parts apart without colours. Pure. */
import type { Status } from "../checks/check.ts";
import { tally, type Report, type Statement } from "../report/report.ts";
import { escape } from "./escape.ts";

const ORDER = ["satisfied", "not-satisfied", "not-assessable"] as const;
const WORDS: Readonly<Record<Status, string>> = {
  satisfied: "satisfied",
  "not-satisfied": "not satisfied",
  "not-assessable": "not assessable",
};
const COLOURS: Readonly<Record<Status, string>> = {
  satisfied: "#176b3a",
  "not-satisfied": "#a8201a",
  "not-assessable": "#5a6472",
};

/** Solid, diagonal and dotted: the three are told apart on grey paper, too. */
const PATTERNS = `<defs>
<pattern id="p-bad" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="${COLOURS["not-satisfied"]}"/><rect width="2.2" height="7" fill="#fff" opacity=".55"/></pattern>
<pattern id="p-open" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#e6e9ed"/><circle cx="3" cy="3" r="1.25" fill="${COLOURS["not-assessable"]}"/></pattern>
</defs>`;
const FILLS: Readonly<Record<Status, string>> = {
  satisfied: COLOURS.satisfied,
  "not-satisfied": "url(#p-bad)",
  "not-assessable": "url(#p-open)",
};

const WIDTH = 880;
const LABEL = 330;
const BAR = 400;
const ROW = 34;

/** A mark of a shape of its own for each status; a word always stands beside it. */
export function mark(status: Status): string {
  const open = `<svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">`;
  const colour = COLOURS[status];
  const line = `fill="none" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"`;
  switch (status) {
    case "satisfied":
      return `${open}<circle cx="7" cy="7" r="7" fill="${colour}"/><path d="M3.8 7.3l2.2 2.2 4.2-4.7" stroke="#fff" ${line}/></svg>`;
    case "not-satisfied":
      return `${open}<rect width="14" height="14" rx="2" fill="${colour}"/><path d="M4.2 4.2l5.6 5.6M9.8 4.2l-5.6 5.6" stroke="#fff" ${line}/></svg>`;
    case "not-assessable":
      return `${open}<circle cx="7" cy="7" r="6" fill="#fff" stroke="${colour}" stroke-width="2"/><path d="M4.5 7h5" stroke="${colour}" ${line}/></svg>`;
  }
}

function legend(y: number): string {
  let x = LABEL;
  return ORDER.map((status) => {
    const one = `<rect x="${x}" y="${y}" width="14" height="14" fill="${FILLS[status]}" stroke="${COLOURS[status]}"/><text x="${x + 21}" y="${y + 11.5}">${WORDS[status]}</text>`;
    x += status === "not-satisfied" ? 145 : 125;
    return one;
  }).join("");
}

function frameworkRow(title: string, statements: readonly Statement[], y: number, scale: number): string {
  const counts = tally(statements);
  let x = LABEL;
  const parts = ORDER.filter((status) => counts[status] > 0).map((status) => {
    const width = counts[status] * scale;
    const part = `<rect x="${x}" y="${y}" width="${width}" height="20" fill="${FILLS[status]}" stroke="${COLOURS[status]}"/>`;
    x += width + 2;
    return part;
  });
  const words = ORDER.map((status) => counts[status]).join(" / ");
  return `<text x="${LABEL - 14}" y="${y + 15}" text-anchor="end">${escape(title)}</text>${parts.join("")}<text class="value" x="${x + 8}" y="${y + 15}">${words}</text>`;
}

/** How many statements of each framework have each status. */
export function frameworksChart(
  frameworks: readonly (readonly [title: string, statements: readonly Statement[]])[],
): string {
  const most = Math.max(1, ...frameworks.map(([, statements]) => statements.length));
  const height = frameworks.length * ROW + 34;
  const said = frameworks.map(([title, statements]) => {
    const counts = tally(statements);
    return `${title}: ${ORDER.map((status) => `${counts[status]} ${WORDS[status]}`).join(", ")}`;
  });
  const rows = frameworks.map(([title, statements], at) =>
    frameworkRow(title, statements, 30 + at * ROW, BAR / most),
  );
  return `<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" role="img" aria-label="${escape(said.join("; "))}">${PATTERNS}${legend(2)}${rows.join("")}</svg>`;
}

interface Meter {
  readonly title: string;
  readonly part: number;
  readonly whole: number;
  readonly unit: string;
}

/** Whole per cents, never 100 where one is missing nor 0 where one is there. */
export function share(part: number, whole: number): string {
  if (whole === 0) return "–";
  const rounded = Math.round((100 * part) / whole);
  const shown = part < whole ? Math.min(rounded, 99) : rounded;
  return `${part > 0 ? Math.max(shown, 1) : shown} %`;
}

function meterRow({ title, part, whole, unit }: Meter, y: number): string {
  const width = whole === 0 ? 0 : (BAR * part) / whole;
  const rest = BAR - width;
  return [
    `<text x="${LABEL - 14}" y="${y + 15}" text-anchor="end">${escape(title)}</text>`,
    `<rect x="${LABEL}" y="${y}" width="${BAR}" height="20" fill="#fff" stroke="#5a6472"/>`,
    width > 0 ? `<rect x="${LABEL}" y="${y}" width="${width}" height="20" fill="${COLOURS.satisfied}"/>` : "",
    rest > 0 && whole > 0
      ? `<rect x="${LABEL + width}" y="${y}" width="${rest}" height="20" fill="url(#m-bad)" stroke="${COLOURS["not-satisfied"]}"/>`
      : "",
    `<text class="value" x="${LABEL + BAR + 10}" y="${y + 15}">${share(part, whole)}</text>`,
    `<text class="soft" x="${LABEL + BAR + 66}" y="${y + 15}">${whole === 0 ? "none" : escape(`${part}/${whole}`)}</text>`,
    `<title>${escape(`${title}: ${part} of ${whole} ${unit}`)}</title>`,
  ].join("");
}

/** What share of the traffic is encrypted and agreed on with a post-quantum group, and of the modules approved. */
export function cryptoChart({
  connections,
  postQuantum,
  plaintext,
  proxies,
  approved,
}: Report["facts"]): string {
  const meters: readonly Meter[] = [
    {
      title: "Encrypted by the mesh",
      part: connections,
      whole: connections + plaintext,
      unit: "connections",
    },
    {
      title: "Hybrid post-quantum key agreement",
      part: postQuantum,
      whole: connections,
      unit: "connections",
    },
    { title: "Modules in FIPS approved mode", part: approved, whole: proxies, unit: "proxies" },
  ];
  const said = meters.map(({ title, part, whole, unit }) => `${title}: ${part} of ${whole} ${unit}`);
  const height = meters.length * ROW + 4;
  const pattern = PATTERNS.replace("p-bad", "m-bad").replace(/<pattern id="p-open".*?<\/pattern>/s, "");
  return `<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" role="img" aria-label="${escape(said.join("; "))}">${pattern}${meters.map((meter, at) => `<g>${meterRow(meter, 4 + at * ROW)}</g>`).join("")}</svg>`;
}
