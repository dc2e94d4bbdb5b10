/** Prints a page to PDF with a Chromium that is installed. */
import { execFile } from "node:child_process";
import { access, constants, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Names under which distributions install it. */
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"] as const;
/** A page of ours is printed in two seconds; a busy machine takes longer. */
const PRINT_MS_MAX = 120_000;

async function browser(): Promise<string> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((dir) => dir !== "");
  for (const path of folders.flatMap((dir) => NAMES.map((name) => join(dir, name)))) {
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not this one.
    }
  }
  throw new Error(
    `--format pdf needs Chromium: none of ${NAMES.join(", ")} is on the PATH. Install it, or make --format html and print that.`,
  );
}

/** The page as PDF. Nothing of it is fetched: the page has everything in itself. @throws if there is no Chromium. */
export async function printed(html: string): Promise<Uint8Array> {
  const program = await browser();
  const dir = await mkdtemp(join(tmpdir(), "hauberk-print-"));
  try {
    const [page, out] = [join(dir, "report.html"), join(dir, "report.pdf")];
    await writeFile(page, html);
    await run(
      program,
      [
        "--headless",
        // Root has no user namespaces to be put into; the page is ours and runs no script.
        "--no-sandbox",
        "--disable-gpu",
        "--no-pdf-header-footer",
        `--user-data-dir=${join(dir, "profile")}`,
        `--print-to-pdf=${out}`,
        `file://${page}`,
      ],
      { timeout: PRINT_MS_MAX },
    );
    return await readFile(out);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
