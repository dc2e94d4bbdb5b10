// Puts the release binaries where everything looks for them, whatever the host's target triple is called.
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";

const TARGET = "proxy/target";
const BINARIES = ["hauberk-proxy", "hauberk-sandbox"] as const;

const built = readdirSync(TARGET)
  .map((triple) => join(TARGET, triple, "release"))
  .find((dir) => existsSync(join(dir, BINARIES[0])));
if (built === undefined) throw new Error(`no ${BINARIES[0]} below ${TARGET}`);
mkdirSync(join(TARGET, "bin"), { recursive: true });
for (const name of BINARIES) {
  const to = join(TARGET, "bin", name);
  // Renamed into place: a running mesh keeps the file that it started from.
  copyFileSync(join(built, name), `${to}.new`);
  renameSync(`${to}.new`, to);
}
