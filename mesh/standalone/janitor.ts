import { spawn } from "node:child_process";
import type { Writable } from "node:stream";

/**
 * Waits for its input to end, then kills what is left of the process groups it was told of, and removes the state
 * directory. It is a shell because it must cost nothing and outlive the runtime, however that ends.
 */
const SCRIPT = `
trap '' INT TERM HUP
groups=''
while read -r verb group; do
  case $verb in
    add) groups="$groups $group " ;;
    drop) groups=$(printf %s "$groups" | sed "s/ $group / /g") ;;
  esac
done
for group in $groups; do kill -KILL -- "-$group" 2>/dev/null; done
for wait in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf -- "$1" 2>/dev/null && rmdir -- "$(dirname -- "$1")" 2>/dev/null
  [ -e "$1" ] || exit 0
  sleep 0.2
done
`;

/** Cleans up after a runtime that was killed. */
export class Janitor {
  readonly #input: Writable;
  readonly #gone: Promise<void>;

  constructor(stateDir: string) {
    const child = spawn("/bin/sh", ["-c", SCRIPT, "hauberk-janitor", stateDir], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    this.#input = child.stdin;
    child.stdin.on("error", () => undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
    this.#gone = promise;
  }

  add(group: number): void {
    if (group > 1) this.#input.write(`add ${group}\n`);
  }

  drop(group: number): void {
    if (group > 1) this.#input.write(`drop ${group}\n`);
  }

  /** Lets it do its work now. */
  async finish(): Promise<void> {
    this.#input.end();
    await this.#gone;
  }
}
