import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { gunzipSync } from "node:zlib";
import { fileIn } from "../image/read.ts";
import { Layout } from "../oci/layout.ts";
import { Manifest, parseDocument } from "../oci/model.ts";
import { writeArtifact, type ArtifactSpec } from "./artifact.ts";
import { chartArtifact } from "./chart.ts";
import { cliArchive } from "./cli.ts";

async function manifestOf(spec: ArtifactSpec): Promise<Manifest> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-artifact-"));
  try {
    const layout = await Layout.create(join(dir, "images"));
    const { digest } = await writeArtifact(layout, spec);
    return parseDocument(Manifest, await layout.blob(digest), digest);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const CHART = [
  {
    path: "mesh/Chart.yaml",
    bytes: Buffer.from("apiVersion: v2\nname: mesh\nversion: 1.2.3\ndescription: A mesh.\n"),
  },
  { path: "mesh/templates/a.yaml", bytes: Buffer.from("kind: ConfigMap\n") },
];
const AT = { epochSeconds: 1_700_000_000, labels: { "org.opencontainers.image.vendor": "Hauberk" } };

void test("a chart is an artifact of the types by which Helm pulls one", async () => {
  const spec = await chartArtifact("mesh", CHART, AT);
  const { config, layers, artifactType } = await manifestOf(spec);
  assert.equal(config.mediaType, "application/vnd.cncf.helm.config.v1+json");
  assert.deepEqual(
    layers.map(({ mediaType }) => mediaType),
    ["application/vnd.cncf.helm.chart.content.v1.tar+gzip"],
  );
  assert.equal(artifactType, undefined);
  const content = gunzipSync(spec.content.bytes);
  assert.equal((await fileIn(content, "mesh/templates/a.yaml"))?.toString(), "kind: ConfigMap\n");
});

void test("a chart is the same bytes each time, in whatever order its files come (D-06)", async () => {
  const [one, other] = [
    await chartArtifact("mesh", CHART, AT),
    await chartArtifact("mesh", CHART.toReversed(), AT),
  ];
  assert.deepEqual(one.content.bytes, other.content.bytes);
});

void test("a chart without Chart.yaml, or under another name, is refused", async () => {
  await assert.rejects(chartArtifact("mesh", CHART.slice(1), AT), /has no Chart.yaml/);
  const other = CHART.map(({ path, bytes }) => ({ path: path.replace("mesh/", "other/"), bytes }));
  await assert.rejects(chartArtifact("other", other, AT), /calls itself mesh/);
});

void test("the command line's archive holds Node, the program and a launcher that finds both", async () => {
  const archive = await cliArchive({
    version: "1.2.3",
    platform: "linux/arm64",
    scripts: [{ name: "hauberk.js", bytes: Buffer.from("run") }],
    notices: [{ path: "package.json", bytes: Buffer.from("{}") }],
    node: Buffer.from("node"),
    licence: Buffer.from("Apache-2.0"),
    epochSeconds: 1,
  });
  const content = gunzipSync(archive);
  const root = "hauberk-1.2.3-linux-arm64";
  for (const path of ["bin/hauberk", "lib/node", "lib/app/hauberk.js", "lib/app/package.json", "LICENSE"])
    assert.ok((await fileIn(content, `${root}/${path}`)) !== undefined, path);
});
