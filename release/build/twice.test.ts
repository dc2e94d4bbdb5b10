import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { buildTwice } from "./twice.ts";

async function within(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-step-"));
  try {
    await run(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const step = (script: string) => ({
  name: "test",
  inputs: [],
  environment: {},
  command: ["sh", "-c", script] as const,
  epochSeconds: 1_700_000_000,
  msMax: 20_000,
});

void test("a step that makes the same bytes twice is taken", async () => {
  await within(async (dir) => {
    const built = await buildTwice(step("printf %s $SOURCE_DATE_EPOCH > /out/made"), dir);
    assert.deepEqual([...built.outputs.keys()], ["made"]);
    assert.equal(await readFile(join(built.dir, "made"), "utf8"), "1700000000");
  });
});

void test("a step that makes something else the second time is refused, with the file's name", async () => {
  await within(async (dir) => {
    await assert.rejects(
      buildTwice(step("head -c 8 /dev/urandom > /out/made"), dir),
      /two builds differ:\nmade: sha256:/,
    );
  });
});

void test("a step that makes nothing, or fails, is refused", async () => {
  await within(async (dir) => {
    await assert.rejects(buildTwice(step("true"), dir), /made nothing/);
    await assert.rejects(buildTwice(step("echo why; exit 3"), dir), /ended with 3:\nwhy/);
  });
});

void test("a step sees no network, no files but its own, and no environment of the builder", async () => {
  await within(async (dir) => {
    process.env["HAUBERK_TEST_SECRET"] = "secret";
    const script = [
      "{ ls -A / /scratch; env | cut -d= -f1 | sort; grep -c : /proc/net/dev; } > /out/seen",
      "! touch /usr/planted 2>/dev/null",
      "! ls /root /home /etc/passwd 2>/dev/null",
    ].join("\n");
    const built = await buildTwice(step(script), dir);
    const seen = await readFile(join(built.dir, "seen"), "utf8");
    assert.doesNotMatch(seen, /SECRET|root$|home/m);
    assert.match(seen, /^1$/m, "loopback is the only interface");
    delete process.env["HAUBERK_TEST_SECRET"];
  });
});
