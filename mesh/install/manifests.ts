/** Everything that one command prints. */
import { renderChart, type Rendered } from "./chart.ts";
import { CNI_CHART, CNI_NAMESPACE } from "./cni/chart.ts";
import type { CniValues } from "./cni/values.ts";
import { AUTHORITY_TEMPLATES } from "./component/config.ts";
import { CONTROL_PLANE_CHART, NAMESPACE_TEMPLATE } from "./component/control_plane.ts";
import { CRDS_CHART } from "./crd/chart.ts";
import type { Values } from "./values/schema.ts";
import { isTree, type Tree } from "./values/values.ts";

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

/** Objects of the control plane that change while it runs. */
const AUTHORITY = new Set(
  AUTHORITY_TEMPLATES.map(({ file }) => `${CONTROL_PLANE_CHART.name}/templates/${file}.yaml`),
);

/**
 * The control plane that follows an older one. The trust anchors and the issuer that are in force stay out of it, unless `given`
 * has others: a rotation may replace them between the reading of a cluster and the writing, and an anchor that came back, or one that
 * went, would cut proxies off from each other.
 */
export function upgradeManifests(place: Place, values: Values, given: Tree): readonly Rendered[] {
  const all = controlPlaneManifests(place, values);
  return givesAuthority(given) ? all : all.filter(({ source }) => !AUTHORITY.has(source));
}

function givesAuthority({ identityTrustAnchorsPEM, identity }: Tree): boolean {
  const issuer = isTree(identity) ? identity["issuer"] : undefined;
  return identityTrustAnchorsPEM !== undefined || (isTree(issuer) && issuer["tls"] !== undefined);
}

/** The CNI plugin with its namespace. */
export function cniManifests(place: Place, values: CniValues): readonly Rendered[] {
  const scope = { ...place, values };
  const namespace = { name: CNI_CHART.name, description: "", templates: [CNI_NAMESPACE] };
  return [...renderChart(namespace, scope), ...renderChart(CNI_CHART, scope)];
}
