/** Helm charts as Helm pushes and pulls them (HIP 6). */
import { parse } from "yaml";
import { z } from "zod";
import { archive } from "../image/tar.ts";
import { compress } from "../image/image.ts";
import { jsonBytes } from "../oci/model.ts";
import type { ArtifactSpec } from "./artifact.ts";

const CONFIG = "application/vnd.cncf.helm.config.v1+json";
const CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

const Chart = z.looseObject({ name: z.string(), version: z.string(), description: z.string() });

/** A file of a chart; its path begins with the chart's name. */
export interface ChartFile {
  readonly path: string;
  readonly bytes: Buffer;
}

/** @throws if the chart has no `Chart.yaml`, or it is of another name. */
export async function chartArtifact(
  name: string,
  files: readonly ChartFile[],
  {
    epochSeconds,
    labels,
  }: { readonly epochSeconds: number; readonly labels: Readonly<Record<string, string>> },
): Promise<ArtifactSpec> {
  const head = files.find(({ path }) => path === `${name}/Chart.yaml`);
  if (head === undefined) throw new Error(`the chart ${name} has no Chart.yaml`);
  const chart = Chart.parse(parse(head.bytes.toString()));
  if (chart.name !== name) throw new Error(`the chart in ${name} calls itself ${chart.name}`);
  const entries = files.map(({ path, bytes }) => ({ kind: "file", path, mode: 0o644, bytes }) as const);
  return {
    config: { mediaType: CONFIG, bytes: jsonBytes(chart) },
    content: { mediaType: CONTENT, bytes: compress(await archive(entries, epochSeconds)) },
    annotations: {
      ...labels,
      "org.opencontainers.image.title": chart.name,
      "org.opencontainers.image.description": chart.description,
      "org.opencontainers.image.version": chart.version,
    },
  };
}
