/** The Helm charts: the same templates as the command line's, with the values that they may be given. */
import { z } from "zod";
import { chartTemplates, type Chart } from "./chart.ts";
import { CONTROL_PLANE_CHART } from "./component/control_plane.ts";
import { CNI_CHART } from "./cni/chart.ts";
import { CniValues } from "./cni/values.ts";
import { CRDS_CHART } from "./crd/chart.ts";
import { canonicalJson } from "./template/print.ts";
import { aboutOf } from "./values/leaf.ts";
import { Values } from "./values/schema.ts";
import { HIGH_AVAILABILITY, STRICT, isTree, mergeTrees, type Tree } from "./values/values.ts";

/** One file of a chart; the path begins with the chart's name. */
export interface ChartFile {
  readonly path: string;
  readonly content: string;
}

/** The oldest cluster that a chart installs on. */
const KUBE_VERSION = ">=1.31.0-0";

/** What the plugin's chart is given of the control plane's values: the proxy's image, which holds the plugin. */
function pluginOf({ proxy }: Tree): Tree {
  return isTree(proxy) && isTree(proxy["image"]) ? { image: proxy["image"] } : {};
}

/** Every file of every chart. `given` are values of the control plane that stand in the place of defaults: a release's images. */
export function chartFiles(version: string, given: Tree = {}): readonly ChartFile[] {
  return [
    ...filesOf(CRDS_CHART, version, [{ path: "values.yaml", content: "{}\n" }]),
    ...filesOf(CNI_CHART, version, valueFiles(CniValues, pluginOf(given))),
    ...filesOf(CONTROL_PLANE_CHART, version, [
      ...valueFiles(Values, given),
      { path: "values-ha.yaml", content: modeFile("ha", HIGH_AVAILABILITY) },
      { path: "values-strict.yaml", content: modeFile("strict", STRICT) },
      { path: "templates/validate.yaml", content: VALIDATE },
    ]),
  ];
}

function filesOf(chart: Chart, version: string, more: readonly ChartFile[]): readonly ChartFile[] {
  const head = [
    "apiVersion: v2",
    `name: ${chart.name}`,
    `description: ${canonicalJson(chart.description)}`,
    "type: application",
    `version: ${canonicalJson(version)}`,
    `appVersion: ${canonicalJson(version)}`,
    `kubeVersion: ${canonicalJson(KUBE_VERSION)}`,
    "",
  ].join("\n");
  return [{ path: "Chart.yaml", content: head }, ...more, ...chartTemplates(chart)].map(
    ({ path, content }) => ({
      path: `${chart.name}/${path}`,
      content,
    }),
  );
}

/** What the command line makes by itself and a chart cannot: it has to be given. Renders nothing. */
const VALIDATE = `{{- $tls := .Values.identity.issuer.tls }}
{{- if not (or .Values.identity.externalCA .Values.identityTrustAnchorsPEM) }}
{{- fail "identityTrustAnchorsPEM: the trust anchors have to be given, or identity.externalCA be set" }}
{{- end }}
{{- if and (eq .Values.identity.issuer.scheme "linkerd.io/tls") (not .Values.identity.externalCA) (not (and $tls.crtPEM $tls.keyPEM)) }}
{{- fail "identity.issuer.tls: crtPEM and keyPEM have to be given, or identity.issuer.scheme be kubernetes.io/tls" }}
{{- end }}
`;

/** Every value with its default and what it means, and what Helm checks values by. */
function valueFiles(schema: z.ZodObject, given: Tree): readonly ChartFile[] {
  return [
    { path: "values.yaml", content: `${valueLines(schema, given, "").join("\n")}\n` },
    { path: "values.schema.json", content: schemaFile(schema) },
  ];
}

function valueLines(schema: z.ZodObject, given: Tree, pad: string): readonly string[] {
  return Object.entries(schema.shape).flatMap(([name, child]) => {
    const about = aboutOf(child);
    const over = given[name];
    if (about !== undefined) {
      const value = isTree(about.fallback) && isTree(over) ? mergeTrees(about.fallback, over) : over;
      return [`${pad}# ${about.description}`, `${pad}${name}: ${canonicalJson(value ?? about.fallback)}`];
    }
    if (!(child instanceof z.ZodObject)) return [];
    const below = valueLines(child, isTree(over) ? over : {}, `${pad}  `);
    return [`${pad}# ${child.description ?? ""}`, `${pad}${name}:`, ...below];
  });
}

function modeFile(mode: string, tree: Tree): string {
  return `# helm install -f values-${mode}.yaml is hauberk install --${mode}.\n${treeLines(tree, "").join("\n")}\n`;
}

function treeLines(tree: Tree, pad: string): readonly string[] {
  return Object.entries(tree).flatMap(([name, value]) =>
    isTree(value)
      ? [`${pad}${name}:`, ...treeLines(value, `${pad}  `)]
      : [`${pad}${name}: ${canonicalJson(value)}`],
  );
}

/** `global` is Helm's own, for charts that have this one in them. */
function schemaFile(of: z.ZodObject): string {
  const schema = z.toJSONSchema(of.extend({ global: z.looseObject({}).optional() }), { io: "input" });
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}
