import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { loadManifests, watchManifests, type Loaded } from "./load.ts";
import { parseFile } from "./parse.ts";

const service = (name: string, extra = "") =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\n${extra}`;

async function directory(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-manifests-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const names = (loaded: Loaded) => loaded.documents.map((document) => document.object.metadata.name);

test("a directory yields its YAML and JSON objects, Lists expanded, with file, index and line", async (t) => {
  const dir = await directory(t);
  await writeFile(join(dir, "a.yaml"), `# first\n${service("one")}---\n---\n${service("two")}`);
  await writeFile(
    join(dir, "b.json"),
    JSON.stringify({
      apiVersion: "v1",
      kind: "List",
      items: [{ apiVersion: "v1", kind: "Pod", metadata: { name: "three" } }],
    }),
  );
  await writeFile(join(dir, ".hidden.yaml"), service("hidden"));
  await writeFile(join(dir, "README.md"), "not a manifest");
  const loaded = await loadManifests([dir]);
  assert.deepEqual(loaded.problems, []);
  assert.deepEqual(names(loaded), ["one", "two", "three"]);
  const [one, two] = loaded.documents;
  assert.equal(one?.line, 2);
  assert.equal(two?.index, 2);
  assert.equal(two?.object.metadata.namespace, "default");
});

test("a problem names file, line, object and field, and the rest of the file is still read", () => {
  const text = `${service("ok")}---\napiVersion: v1\nkind: Service\nmetadata:\n  name: bad\n  labels:\n    tier: 7\n`;
  const parsed = parseFile("x.yaml", text);
  assert.equal(parsed.whole, false);
  assert.equal(parsed.documents.length, 1);
  const [problem] = parsed.problems;
  assert.deepEqual(
    { ...problem, message: "" },
    {
      severity: "error",
      file: "x.yaml",
      line: 10,
      object: "Service default/bad",
      field: "metadata.labels.tier",
      message: "",
    },
  );
});

test("text that is not YAML is a problem with its line, in JSON files too", () => {
  assert.equal(parseFile("x.yaml", "a: [1, 2\nb: }").problems[0]?.line, 2);
  assert.equal(parseFile("x.json", '{\n"a": 1,\n"a": 2 x}').problems[0]?.line, 3);
  assert.match(parseFile("x.yaml", "a: 1\na: 2\n").problems[0]?.message ?? "", /unique/);
});

test("anchors that multiply and text that nests without end are refused, not expanded", () => {
  const lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"];
  for (let n = 1; n < 12; n += 1)
    lines.push(
      `a${n}: &a${n} [${Array(9)
        .fill(`*a${n - 1}`)
        .join(",")}]`,
    );
  assert.match(parseFile("bomb.yaml", lines.join("\n")).problems[0]?.message ?? "", /alias/i);
  assert.equal(parseFile("deep.yaml", "[".repeat(200_000)).whole, false);
  assert.equal(parseFile("deep.json", "[".repeat(3_000) + "]".repeat(3_000)).whole, false);
});

test("of two documents that are the same object the first stands and the second is reported", async (t) => {
  const dir = await directory(t);
  await writeFile(join(dir, "a.yaml"), service("one"));
  await writeFile(join(dir, "b.yaml"), service("one"));
  const loaded = await loadManifests([dir]);
  assert.deepEqual(names(loaded), ["one"]);
  assert.match(loaded.problems[0]?.message ?? "", /already defined at .*a\.yaml:1/);
});

test("a directory that is missing is a problem and breaks nothing else", async (t) => {
  const dir = await directory(t);
  await writeFile(join(dir, "a.yaml"), service("one"));
  const missing = join(dir, "missing");
  const loaded = await loadManifests([missing, dir]);
  assert.deepEqual(names(loaded), ["one"]);
  assert.ok(loaded.broken.has(missing));
});

test("a watch follows saves by rename, edits, deletions and a replaced directory", async (t) => {
  const outer = await directory(t);
  const dir = join(outer, "live");
  await mkdir(dir);
  await writeFile(join(dir, "a.yaml"), service("one"));
  const stop = new AbortController();
  const watching = watchManifests([dir], {
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]),
  });
  const until = async (wanted: readonly string[]) => {
    for (;;) {
      const { value } = await watching.next();
      assert.ok(value, `the watch ended before it showed ${wanted.join()}`);
      if (names(value).join() === wanted.join()) return;
    }
  };
  await until(["one"]);
  await writeFile(join(dir, ".a.yaml.swp"), service("two"));
  await rename(join(dir, ".a.yaml.swp"), join(dir, "a.yaml"));
  await until(["two"]);
  await writeFile(join(dir, "b.yaml"), service("more"));
  await until(["two", "more"]);
  await writeFile(join(dir, "b.yaml"), service("core"));
  await until(["two", "core"]);
  await unlink(join(dir, "a.yaml"));
  await until(["core"]);
  await mkdir(join(outer, "next"));
  await writeFile(join(outer, "next", "z.yaml"), service("fresh"));
  await rename(dir, join(outer, "old"));
  await rename(join(outer, "next"), dir);
  await until(["fresh"]);
  await writeFile(join(dir, "z.yaml"), service("newer"));
  await until(["newer"]);
  stop.abort();
  assert.equal((await watching.next()).done, true);
});
