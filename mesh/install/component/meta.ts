/** What all objects of the control plane have in common. */
import {
  NAMESPACE,
  VERSION,
  entries,
  literal,
  merge,
  text,
  value,
  when,
  withDefault,
  type Expression,
  type Merge,
  type Part,
  type TemplateMap,
} from "../template/node.ts";

/** The three components: each a Deployment, a ServiceAccount and its services (REQUIREMENTS S1-03). */
export type Component = "destination" | "identity" | "proxy-injector";
export const COMPONENTS: readonly Component[] = ["destination", "identity", "proxy-injector"];

/** Name of a component's Deployment and ServiceAccount. */
export function nameOf(component: Component): string {
  return `linkerd-${component}`;
}

/** The version of the mesh: the release's unless a value says otherwise. */
export const MESH_VERSION: Expression = withDefault(value("linkerdVersion"), VERSION);

const CREATED_BY = { "linkerd.io/created-by": text`hauberk/${VERSION}` };

/** The head of an object in the control plane's namespace. */
export function inNamespace(
  name: string,
  { component, labels = {} }: { readonly component?: string; readonly labels?: TemplateMap } = {},
): TemplateMap {
  return { name, namespace: NAMESPACE, annotations: CREATED_BY, labels: labelsOf(component, labels) };
}

/** The head of an object of the whole cluster. Its name holds the namespace, so that control planes do not meet. */
export function ofCluster(
  name: string | Expression,
  component?: string,
  labels: TemplateMap = {},
): TemplateMap {
  return { name, annotations: CREATED_BY, labels: labelsOf(component, labels) };
}

/** `linkerd-NAMESPACE-NAME`, as Linkerd names what belongs to the whole cluster. */
export function clusterName(name: string): Expression {
  return text`linkerd-${NAMESPACE}-${literal(name)}`;
}

function labelsOf(component: string | undefined, labels: TemplateMap): Merge {
  return merge(
    {
      ...(component === undefined ? {} : { "linkerd.io/control-plane-component": component }),
      "linkerd.io/control-plane-ns": NAMESPACE,
      ...labels,
    },
    entries("commonLabels"),
  );
}

/** Which Deployment a pod is of. */
export const WORKLOAD_LABEL = "linkerd.io/proxy-deployment";

/** Labels by which a component's pods are known, and which never change. */
export function selectorOf(component: Component): TemplateMap {
  return {
    "linkerd.io/control-plane-component": component,
    "linkerd.io/control-plane-ns": NAMESPACE,
    [WORKLOAD_LABEL]: nameOf(component),
  };
}

/** Parts that set a list or map of resources where the values have any. */
export function resourcesOf(path: string): readonly Part[] {
  const kinds = ["cpu", "memory", "ephemeral-storage"] as const;
  const side = (of: "limit" | "request") =>
    merge(...kinds.map((kind) => when(`${path}.${kind}.${of}`, { [kind]: value(`${path}.${kind}.${of}`) })));
  const has = (of: "limit" | "request") => anyOf(kinds.map((kind) => `${path}.${kind}.${of}`));
  return [
    when(anyOf(kinds.flatMap((kind) => [`${path}.${kind}.limit`, `${path}.${kind}.request`])), {
      resources: merge(
        when(has("limit"), { limits: side("limit") }),
        when(has("request"), { requests: side("request") }),
      ),
    }),
  ];
}

function anyOf(paths: readonly string[]) {
  return { type: "or" as const, of: paths.map((path) => ({ type: "given" as const, of: value(path) })) };
}
