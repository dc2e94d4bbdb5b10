import type { Chart } from "../chart.ts";
import { manifestOf, nameOf } from "./definition.ts";
import { DEFINITIONS } from "./definitions.ts";

/** The kinds of the mesh. They are templates, not files below `crds/`, so that an upgrade of the chart changes them. */
export const CRDS_CHART: Chart = {
  name: "hauberk-crds",
  description: "The kinds that the Hauberk service mesh adds to a cluster.",
  templates: DEFINITIONS.map((definition) => ({
    file: nameOf(definition),
    kind: "CustomResourceDefinition",
    object: manifestOf(definition),
  })),
};
