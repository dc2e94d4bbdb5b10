/**
 * The report's style: one column that reads well on a screen and on paper. Every colour of text has a contrast of 4.5 to
 * its ground at least, and no meaning is in a colour alone. Pure.
 */
export const STYLE = `
:root { --ink: #1b2430; --soft: #4f5b6b; --line: #d5dae1; --ground: #ffffff; --tint: #f5f7f9;
  --good: #176b3a; --bad: #a8201a; --open: #5a6472; --accent: #1f4e8c; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 "Inter", "Segoe UI", "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
main, header, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; font-weight: 650; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .8rem; padding-bottom: .35rem; border-bottom: 2px solid var(--ink); font-weight: 650; }
h3 { font-size: 1.02rem; margin: 0; font-weight: 650; }
p { margin: .4rem 0; max-width: 46rem; }
.lead { color: var(--soft); }
dl.about { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 1.2rem 0 0; font-size: .92rem; }
dl.about dt { color: var(--soft); }
dl.about dd { margin: 0; overflow-wrap: anywhere; }
code, .digest { font: .84em/1.45 "SFMono-Regular", Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.totals { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem; margin: 1.8rem 0 0; padding: 0; list-style: none; }
.totals li { border: 1px solid var(--line); border-left: 6px solid currentColor; border-radius: 4px; padding: .8rem 1rem; }
.totals b { display: block; font-size: 2.2rem; line-height: 1.1; font-weight: 650; font-variant-numeric: tabular-nums; }
.totals span { color: var(--ink); }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .92rem; margin-top: .3rem; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 13px "Inter", "Segoe UI", "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; fill: var(--ink); }
svg .soft { fill: var(--soft); } svg .value { font-weight: 650; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 0; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding: 0 0 .4rem; }
th { text-align: left; font-weight: 600; color: var(--soft); padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--ink); vertical-align: bottom; }
td { padding: .55rem .6rem .55rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:last-child, th:last-child { padding-right: 0; }
.control { font-weight: 650; width: 9rem; }
.state { width: 10.6rem; white-space: nowrap; font-weight: 600; }
.state svg { display: inline-block; vertical-align: -2px; margin-right: .4rem; }
.beyond { color: var(--soft); font-size: .86rem; }
.checks { font-size: .86rem; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 2px; }
article { border: 1px solid var(--line); border-left: 6px solid currentColor; border-radius: 4px; padding: .9rem 1.1rem; margin: .9rem 0; }
article > * { color: var(--ink); }
article .state { width: auto; }
article header { padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline; justify-content: space-between; max-width: none; }
article header .state { color: inherit; }
article.good > header .state { color: var(--good); } article.bad > header .state { color: var(--bad); } article.open > header .state { color: var(--open); }
article ul { margin: .4rem 0; padding-left: 1.1rem; font-size: .92rem; }
article li { overflow-wrap: anywhere; }
.remedy { margin-top: .5rem; padding: .5rem .7rem; background: var(--tint); border-radius: 3px; font-size: .92rem; max-width: none; }
.source { color: var(--soft); font-size: .84rem; margin: .3rem 0 0; max-width: none; }
.more { color: var(--soft); }
footer { margin: 3rem auto 2rem; padding-top: 1rem; color: var(--soft); font-size: .88rem; }
footer div { border-top: 1px solid var(--line); padding-top: .8rem; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 1rem; top: 1rem; background: #fff; padding: .5rem; }
@media (max-width: 40rem) { .totals { grid-template-columns: 1fr; } .state, .control { width: auto; } }
@media print {
  @page { size: A4; margin: 16mm 14mm 18mm; }
  body { font-size: 9.5pt; }
  main, header, footer { max-width: none; padding: 0; }
  h2 { break-after: avoid; margin-top: 1.8rem; } h3 { break-after: avoid; }
  tr, figure, .totals, .remedy, article li { break-inside: avoid; }
  article { break-inside: auto; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
  article header, article header + p { break-after: avoid; }
  thead { display: table-header-group; }
  a { color: var(--ink); text-decoration: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
