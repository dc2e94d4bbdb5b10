/** A small disk of memory for everything that a mesh writes. */
import { execFile } from "node:child_process";
import { open, mkdtemp, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const SIZE = "16m";
const PIECE_BYTES = 64 * 1024;
const FILES_MAX = 100_000;

/** One mounted disk. */
export class Disk {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async mount(): Promise<Disk> {
    const dir = await mkdtemp(join(tmpdir(), "hb-disk-"));
    await run("mount", ["-t", "tmpfs", "-o", `size=${SIZE},nr_inodes=2048,mode=755`, "hauberk-disk", dir]);
    return new Disk(dir);
  }

  /** What is done with temporary files on this disk. */
  async within<T>(step: () => Promise<T>): Promise<T> {
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = this.dir;
    try {
      return await step();
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    }
  }

  /** Until not a byte and not a file more goes onto it. */
  async fill(): Promise<void> {
    const file = await open(join(this.dir, "filler"), "w");
    try {
      await untilFull(() => file.write(Buffer.alloc(PIECE_BYTES)));
      await untilFull(() => file.write(Buffer.alloc(1)));
    } finally {
      await file.close();
    }
    let made = 0;
    await untilFull(async () => {
      await (await open(join(this.dir, `filler-${made}`), "w")).close();
      made += 1;
    });
  }

  async free(): Promise<void> {
    await rm(join(this.dir, "filler"), { force: true });
    for (let made = 0; made < FILES_MAX; made += 1) {
      try {
        await rm(join(this.dir, `filler-${made}`));
      } catch {
        return;
      }
    }
  }

  async unmount(): Promise<void> {
    await run("umount", [this.dir]);
    await rmdir(this.dir);
  }
}

async function untilFull(step: () => Promise<unknown>): Promise<void> {
  for (let steps = 0; steps < FILES_MAX; steps += 1) {
    try {
      await step();
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOSPC") return;
      throw error;
    }
  }
  throw new Error("the disk does not become full");
}
