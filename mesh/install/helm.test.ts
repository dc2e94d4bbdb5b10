import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { CONTROL_PLANE_CHART } from "./component/control_plane.ts";
import { CRDS_CHART } from "./crd/chart.ts";
import { chartFiles } from "./helm.ts";
import { DEFAULTS, HIGH_AVAILABILITY, mergeTrees, STRICT } from "./values/values.ts";

const files = new Map(chartFiles("1.2.3").map(({ path, content }) => [path, content]));

function read(path: string): unknown {
  const content = files.get(path);
  assert.ok(content !== undefined, path);
  return parse(content);
}

test("a chart has a file for each template, and every file is made the same each time", () => {
  for (const chart of [CONTROL_PLANE_CHART, CRDS_CHART]) {
    for (const { file } of chart.templates)
      assert.ok(files.has(`${chart.name}/templates/${file}.yaml`), file);
    assert.deepEqual(
      z
        .looseObject({ name: z.string(), version: z.string(), appVersion: z.string() })
        .parse(read(`${chart.name}/Chart.yaml`)).version,
      "1.2.3",
    );
  }
  assert.deepEqual(
    chartFiles("1.2.3").map(({ content }) => content),
    [...files.values()],
  );
});

test("the charts' values are the command line's, and so are those of its modes", () => {
  assert.deepEqual(read("hauberk-control-plane/values.yaml"), DEFAULTS);
  assert.deepEqual(read("hauberk-control-plane/values-ha.yaml"), HIGH_AVAILABILITY);
  assert.deepEqual(read("hauberk-control-plane/values-strict.yaml"), STRICT);
});

test("a release's charts name its images by digest, and nothing else changes", () => {
  const image = { name: "images.test/proxy", version: "1.2.3@sha256:0" };
  const given = { controllerImage: "images.test/controller", proxy: { image } };
  const made = new Map(chartFiles("1.2.3", given).map(({ path, content }) => [path, content]));
  const changed = [...made].filter(([path, content]) => files.get(path) !== content).map(([path]) => path);
  assert.deepEqual(changed, ["hauberk-cni/values.yaml", "hauberk-control-plane/values.yaml"]);
  assert.deepEqual(parse(made.get("hauberk-control-plane/values.yaml") ?? ""), mergeTrees(DEFAULTS, given));
  const { image: plugin } = z
    .looseObject({ image: z.looseObject({}) })
    .parse(parse(made.get("hauberk-cni/values.yaml") ?? ""));
  assert.deepEqual({ ...plugin, pullPolicy: "" }, { ...image, pullPolicy: "" });
});

test("the schema refuses values that nobody reads, and lets Helm's own through", () => {
  const schema = z
    .looseObject({ additionalProperties: z.literal(false), properties: z.record(z.string(), z.unknown()) })
    .parse(read("hauberk-control-plane/values.schema.json"));
  assert.deepEqual(
    Object.keys(schema.properties).toSorted(),
    [...Object.keys(DEFAULTS), "global"].toSorted(),
  );
});

test("no certificate and no random value is in any chart", () => {
  for (const [path, content] of files)
    assert.doesNotMatch(content, /BEGIN |genCA|genSigned|randAlpha|uuidv4/, path);
});
