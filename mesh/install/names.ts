/** Which objects an installation has: read off the very templates that install them. */
import { parse } from "yaml";
import { z } from "zod";
import { renderChart, type Rendered } from "./chart.ts";
import { CONTROL_PLANE_CHART } from "./component/control_plane.ts";
import type { Values } from "./values/schema.ts";

const Head = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });

/** Names of the control plane's objects of one kind, for its values. */
export function expectedNames(kind: string, values: Values, namespace: string): readonly string[] {
  return renderChart(CONTROL_PLANE_CHART, { namespace, version: "", values })
    .filter((rendered) => rendered.kind === kind)
    .map(({ yaml }) => Head.parse(parse(yaml)).metadata.name);
}

/** `Kind/name` of each object. */
export function namesIn(rendered: readonly Rendered[]): ReadonlySet<string> {
  return new Set(
    rendered.map(({ yaml }) => {
      const { kind, metadata } = Head.parse(parse(yaml));
      return `${kind}/${metadata.name}`;
    }),
  );
}
