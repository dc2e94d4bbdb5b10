/** h2spec's JUnit report, as far as it says which case came out how. Pure. */
import type { Case } from "../report.ts";

const TESTCASE = /<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g;

/** The cases of a report. The same sentence stands in several sections: the section makes a name unique. */
export function readReport(xml: string, listener: string): readonly Case[] {
  return Array.from(xml.matchAll(TESTCASE), ([, section = "", title = "", body = ""]) => {
    const name = `${listener} ${section}: ${unescape(title)}`;
    if (body.includes("<failure") || body.includes("<error")) {
      const seen = unescape(
        body
          .replaceAll(/<[^>]*>/g, " ")
          .replaceAll(/\s+/g, " ")
          .trim(),
      );
      return { name, outcome: "failed", detail: seen };
    }
    return { name, outcome: body.includes("<skipped") ? "skipped" : "passed" };
  });
}

function unescape(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    lt: "<",
    gt: ">",
    quot: '"',
    apos: "'",
    amp: "&",
    "#34": '"',
    "#39": "'",
  };
  return text.replaceAll(/&(lt|gt|quot|apos|amp|#34|#39);/g, (_, name: string) => entities[name] ?? "");
}
