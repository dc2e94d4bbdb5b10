/** A proxy whose own clock of the day is moved while it runs. */
import { execFile } from "node:child_process";
import { chmod, mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { binaryPath, withWrapper } from "../exhaustion/binaries.ts";

const COMPILE_MS_MAX = 60_000;

/** A file that says by how many seconds a proxy's clock is wrong. */
export class MovedClock {
  readonly #dir: string;
  readonly #file: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.#file = join(dir, "seconds");
  }

  /** Makes it in `dir`, which proxies must be able to read, and compiles what moves clocks. */
  static async make(dir: string): Promise<MovedClock> {
    const clock = new MovedClock(join(dir, "moved"));
    await mkdir(clock.#dir);
    for (const folder of [dir, clock.#dir]) await chmod(folder, 0o755);
    const args = ["-O1", "-o", join(clock.#dir, "shift"), join(import.meta.dirname, "shift.c")];
    await promisify(execFile)("cc", args, { timeout: COMPILE_MS_MAX });
    await clock.move(0);
    return clock;
  }

  /** Moves it. Renamed into place: half a number is another one. */
  async move(seconds: number): Promise<void> {
    await writeFile(`${this.#file}.new`, `${seconds}\n`);
    await rename(`${this.#file}.new`, this.#file);
  }

  /** Starts a mesh in which the proxies whose identity begins with `identity` have this clock. */
  within<T>(identity: string, start: () => Promise<T>): Promise<T> {
    const before = [
      'case "$1 $LINKERD2_PROXY_IDENTITY_LOCAL_NAME" in',
      `  "run ${identity}"*)`,
      `    exec '${join(this.#dir, "shift")}' '${this.#file}' '${binaryPath("hauberk-proxy")}' "$@"`,
      "    ;;",
      "esac",
    ];
    return withWrapper(this.#dir, { name: "hauberk-proxy", before }, start);
  }
}
