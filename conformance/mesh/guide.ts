/** The YAML of the user's guide, so that what the guide says is what the tests apply. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const GUIDE = join(import.meta.dirname, "..", "..", "docs", "guide");

/** Every fenced YAML block of the page, in order. */
export function guideBlocks(page: string): readonly string[] {
  const text = readFileSync(join(GUIDE, `${page}.md`), "utf8");
  const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = ""]) => yaml);
  if (blocks.length === 0) throw new Error(`${page}.md has no YAML`);
  return blocks;
}

/** The fenced YAML under a heading of the page, as one text of manifests. */
export function guideYaml(page: string, heading: string): string {
  const text = readFileSync(join(GUIDE, `${page}.md`), "utf8");
  const [, section = ""] = text.split(`\n## ${heading}\n`);
  const [own = ""] = section.split("\n## ");
  const blocks = [...own.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = ""]) => yaml);
  if (blocks.length === 0) throw new Error(`${page}.md has no YAML under "${heading}"`);
  return blocks.join("---\n");
}
