/** A set of objects that is installed together: printed with values by the command line, and as a Helm chart. */
import type { Scope } from "./template/evaluate.ts";
import { holds } from "./template/evaluate.ts";
import { goCondition } from "./template/go.ts";
import type { Condition, Merge, TemplateMap } from "./template/node.ts";
import { renderNode, templateOf } from "./template/print.ts";

/** One object. */
export interface Template {
  /** Its file below `templates/`, without the ending. */
  readonly file: string;
  readonly kind: Kind;
  /** Absent: it is always there. */
  readonly condition?: Condition;
  readonly object: TemplateMap | Merge;
}

export interface Chart {
  readonly name: string;
  readonly description: string;
  readonly templates: readonly Template[];
}

/** Kinds in the order in which Helm installs them; what is used comes before who uses it. */
const KINDS = [
  "Namespace",
  "NetworkPolicy",
  "PodDisruptionBudget",
  "ServiceAccount",
  "Secret",
  "ConfigMap",
  "CustomResourceDefinition",
  "ClusterRole",
  "ClusterRoleBinding",
  "Role",
  "RoleBinding",
  "Service",
  "DaemonSet",
  "Deployment",
  "Job",
  "CronJob",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
  // Kinds that Helm does not know come last, by their names.
  "PodMonitor",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
] as const;
type Kind = (typeof KINDS)[number];

/** The templates in the order of installation, and of their files within a kind. */
function ordered({ templates }: Chart): readonly Template[] {
  return templates.toSorted(
    (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || (a.file < b.file ? -1 : 1),
  );
}

/** One object as text, and the file of the chart it is of. */
export interface Rendered {
  readonly kind: Kind;
  readonly source: string;
  readonly yaml: string;
}

/** The objects of a chart for given values. */
export function renderChart(chart: Chart, scope: Scope): readonly Rendered[] {
  return ordered(chart)
    .filter(({ condition }) => condition === undefined || holds(condition, scope))
    .map(({ kind, file, object }) => ({
      kind,
      source: `${chart.name}/templates/${file}.yaml`,
      yaml: renderNode(object, scope),
    }));
}

/** As `helm template` prints them. */
export function manifestStream(rendered: readonly Rendered[]): string {
  return rendered.map(({ source, yaml }) => `---\n# Source: ${source}\n${yaml}`).join("");
}

/** The files below `templates/` of the Helm chart. */
export function chartTemplates(chart: Chart): readonly { readonly path: string; readonly content: string }[] {
  return chart.templates.map(({ file, condition, object }) => {
    const body = templateOf(object);
    return {
      path: `templates/${file}.yaml`,
      content: condition === undefined ? body : `{{- if ${goCondition(condition)} }}\n${body}{{- end }}\n`,
    };
  });
}
