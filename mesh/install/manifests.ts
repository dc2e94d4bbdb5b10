/** Everything that one command prints. */
import { renderChart, type Rendered } from "./chart.ts";
import { CNI_CHART, CNI_NAMESPACE } from "./cni/chart.ts";
import type { CniValues } from "./cni/values.ts";
import { CONTROL_PLANE_CHART, NAMESPACE_TEMPLATE } from "./component/control_plane.ts";
import { CRDS_CHART } from "./crd/chart.ts";
import type { Values } from "./values/schema.ts";

interface Place {
  readonly namespace: string;
  readonly version: string;
}

/** The kinds. */
export function kindsManifests(place: Place): readonly Rendered[] {
  return renderChart(CRDS_CHART, { ...place, values: {} });
}

/** The control plane with its namespace. */
export function controlPlaneManifests(place: Place, values: Values): readonly Rendered[] {
  const scope = { ...place, values };
  const namespace = { name: CONTROL_PLANE_CHART.name, description: "", templates: [NAMESPACE_TEMPLATE] };
  return [...renderChart(namespace, scope), ...renderChart(CONTROL_PLANE_CHART, scope)];
}

/** The CNI plugin with its namespace. */
export function cniManifests(place: Place, values: CniValues): readonly Rendered[] {
  const scope = { ...place, values };
  const namespace = { name: CNI_CHART.name, description: "", templates: [CNI_NAMESPACE] };
  return [...renderChart(namespace, scope), ...renderChart(CNI_CHART, scope)];
}
