import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test, type TestContext } from "node:test";
import { extensionResults } from "./check/extensions.ts";
import { findExtension, isAlwaysChecked, listExtensions } from "./extension.ts";

async function programs(t: TestContext, scripts: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hb-ext-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
  }
  return folder;
}

const METADATA = `[ "$1" = _extension-metadata ] && echo '{"name":"linkerd-always","checks":"always"}' && exit 0`;
const REPORT = `echo '{"success":false,"categories":[{"categoryName":"linkerd-x","checks":[{"description":"a","result":"success"},{"description":"b","result":"error","error":"it broke","hint":"h"}]}]}'; exit 1`;

test("an extension is found by its name, ours before Linkerd's, and nothing that is no name", async (t) => {
  const [first, second] = [
    await programs(t, { "linkerd-smi": "" }),
    await programs(t, { "hauberk-smi": "" }),
  ];
  const environment = { PATH: [first, second].join(delimiter) };
  assert.equal((await findExtension("smi", environment))?.program, join(second, "hauberk-smi"));
  assert.equal(await findExtension("../smi", environment), undefined);
  assert.equal(await findExtension("other", environment), undefined);
  assert.deepEqual(
    (await listExtensions(environment)).map(({ name }) => name),
    ["smi"],
  );
});

test("checks are made of extensions that the cluster has, and of those that always want it", async (t) => {
  const folder = await programs(t, {
    "linkerd-x": REPORT,
    "linkerd-always": `${METADATA}\necho '{"categories":[]}'`,
    "linkerd-idle": "exit 1",
  });
  const environment = { PATH: [folder, process.env["PATH"] ?? ""].join(delimiter) };
  const namespaces = ["x", "gone"].map((extension) => ({
    name: `linkerd-${extension}`,
    labels: { "linkerd.io/extension": extension },
    annotations: {},
  }));
  const results = await extensionResults(namespaces, [], environment);
  assert.deepEqual(
    results.map(({ category, description, finding }) => `${category}: ${description}: ${finding.type}`),
    [
      "linkerd-gone: extension command hauberk-gone or linkerd-gone exists: warning",
      "linkerd-x: a: success",
      "linkerd-x: b: error",
    ],
  );
  const always = await findExtension("always", environment);
  assert.ok(always && (await isAlwaysChecked(always)));
});
