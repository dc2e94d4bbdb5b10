/** Checks as people read them. Pure. */
import type { Check } from "./verify.ts";

const TITLES = {
  signature: "signed",
  provenance: "provenance",
  bom: "bill of materials",
  vex: "vulnerabilities (VEX)",
  summary: "the gate's summary (VSA)",
  testResult: "conformance result",
} as const;

const WAYS = { key: "", certificate: ", by certificate, logged and timestamped" } as const;

/** A few lines per image: its parts, and every demand with its outcome. */
export function describeChecks(name: string, checks: readonly Check[]): string {
  const lines: string[] = [];
  for (const part of new Set(checks.map((check) => check.part))) {
    const own = checks.filter((check) => check.part === part);
    lines.push(`${name} ${part} ${own[0]?.subject ?? ""}`);
    for (const { demand, way, outcome } of own) {
      const mark = outcome.ok ? "√" : "×";
      const reason = outcome.ok ? "" : `: ${outcome.refusal}: ${outcome.detail}`;
      lines.push(`  ${mark} ${TITLES[demand]}${WAYS[way]}${reason}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
