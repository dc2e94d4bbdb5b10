/** `hauberk inject` and `hauberk uninject` on manifests: what is done to each object, and what is reported of it. Pure. */
import type { PatchStep } from "../admission/review.ts";
import { admit, type AdmissionContext } from "./admit.ts";
import { inject, type Mesh } from "./inject.ts";
import { annotationPatch, patchOf } from "./patch.ts";
import { rewrite, type Change } from "./stream.ts";
import { readObject, type ManifestObject } from "./workload.ts";

type Strings = Readonly<Record<string, string>>;

/** One line of the report: `deployment "web" injected`. */
export interface Report {
  readonly object: string;
  readonly outcome: "injected" | "annotated" | "uninjected" | "skipped";
  readonly reason: string;
}

/** What `inject` is asked to do. */
export interface InjectOptions {
  /** `linkerd.io/inject` of the templates. */
  readonly inject: "enabled" | "ingress";
  /** `config.linkerd.io/*` of the templates. */
  readonly annotations: Strings;
  /** With a mesh, the proxy itself is written into the manifests; without, the webhook does it later. */
  readonly manual: Mesh | undefined;
  readonly unsupportedPods: AdmissionContext["unsupportedPods"];
  readonly proxyUid: number;
}

const OPAQUE_PORTS = "config.linkerd.io/opaque-ports";

/** What a rewriting comes to. */
export interface Rewritten {
  readonly text: string;
  readonly reports: readonly Report[];
}

/** Injects every workload of a stream. `name` stands for the stream in errors. */
export function injectManifests(text: string, name: string, options: InjectOptions): Rewritten {
  return each(text, name, (object) => injected(object, options));
}

/** Takes out of every workload of a stream what injection puts in. */
export function uninjectManifests(text: string, name: string): Rewritten {
  return each(text, name, uninjected);
}

interface Done {
  readonly outcome: Report["outcome"];
  readonly reason?: string;
  readonly changes?: readonly Change[];
}

function each(text: string, name: string, act: (object: ManifestObject) => Done): Rewritten {
  const reports: Report[] = [];
  const result = rewrite(text, name, ({ value, at }) => {
    const object = readObject(value);
    if (typeof object === "string") {
      reports.push({ object, outcome: "skipped", reason: "" });
      return [];
    }
    const { outcome, reason = "", changes = [] } = act(object);
    reports.push({ object: `${object.kind} "${object.name}"`, outcome, reason });
    return changes.map((change) => ({ ...change, at: [...at, ...change.at] }));
  });
  return { text: result, reports };
}

function injected(object: ManifestObject, options: InjectOptions): Done {
  const wish: Strings = { "linkerd.io/inject": options.inject, ...options.annotations };
  if (object.template === undefined) return annotated(object, options, wish);
  const { pod, at } = object.template;
  // An opt-out of the workload's author outweighs the command; a wrong value is put right by it.
  const own = pod.metadata?.annotations ?? {};
  if (own["linkerd.io/inject"] === "disabled") {
    return { outcome: "skipped", reason: "it has linkerd.io/inject: disabled" };
  }
  const wished = {
    ...pod,
    metadata: {
      name: "",
      generateName: "",
      namespace: "",
      ...pod.metadata,
      annotations: { ...own, ...wish },
    },
  };
  const admission = admit(wished, {
    namespaceAnnotations: {},
    unsupportedPods: options.unsupportedPods,
    proxyUid: options.proxyUid,
  });
  switch (admission.type) {
    case "refuse":
      return { outcome: "skipped", reason: admission.message };
    case "skip":
      return { outcome: "skipped", reason: admission.reason.replaceAll("_", " ") };
    case "inject": {
      if (options.manual === undefined) {
        return { outcome: "injected", changes: [{ at, steps: annotationPatch(pod.metadata, wish) }] };
      }
      const { additions, problems } = inject(wished, {
        mesh: options.manual,
        namespace: { name: object.namespace, annotations: {} },
        owner: object.kind === "pod" ? undefined : { kind: kindOf(object.kind), name: object.name },
      });
      const both = { ...additions, annotations: { ...wish, ...additions.annotations } };
      const reason = problems.map(({ annotation, message }) => `${annotation} ${message}`).join("; ");
      return { outcome: "injected", reason, changes: [{ at, steps: patchOf(pod, both) }] };
    }
  }
}

/** Namespaces ask for their pods, and Services say which of their ports are opaque. */
function annotated(object: ManifestObject, { annotations }: InjectOptions, wish: Strings): Done {
  if (object.kind === "namespace") {
    const steps = annotationPatch({ annotations: present(object) }, wish);
    return { outcome: "injected", changes: [{ at: [], steps }] };
  }
  const opaque = annotations[OPAQUE_PORTS];
  if (object.kind !== "service" || opaque === undefined) return { outcome: "skipped" };
  const steps = annotationPatch({ annotations: present(object) }, { [OPAQUE_PORTS]: opaque });
  return { outcome: "annotated", changes: [{ at: [], steps }] };
}

function present({ annotations }: ManifestObject): Strings | undefined {
  return Object.keys(annotations).length === 0 ? undefined : annotations;
}

function kindOf(kind: string): string {
  return KINDS.find((name) => name.toLowerCase() === kind) ?? kind;
}

const KINDS = [
  "Deployment",
  "ReplicaSet",
  "ReplicationController",
  "StatefulSet",
  "DaemonSet",
  "Job",
  "CronJob",
];

const CONTAINERS = new Set(["linkerd-proxy", "linkerd-init", "linkerd-network-validator", "linkerd-debug"]);
const VOLUMES = new Set([
  "linkerd-identity-end-entity",
  "linkerd-identity-token",
  "linkerd-proxy-init-xtables-lock",
]);
/** What injection and its command write; `opaque-ports` says something of the app and stays. */
const ANNOTATIONS =
  /^(linkerd\.io\/|config(\.alpha|\.beta)?\.linkerd\.io\/(?!opaque-ports$)|hauberk\.io\/redirect$)/;

function uninjected(object: ManifestObject): Done {
  const own = removed("/metadata/annotations", object.annotations, isInjections);
  if (object.template === undefined) {
    const isNamespace = object.kind === "namespace" && own.length > 0;
    return isNamespace
      ? { outcome: "uninjected", changes: [{ at: [], steps: own }] }
      : { outcome: "skipped" };
  }
  const { pod, at } = object.template;
  const { metadata, spec } = pod;
  const steps = [
    ...removed("/metadata/annotations", metadata?.annotations, isInjections),
    ...removed("/metadata/labels", metadata?.labels, ([name]) => name.startsWith("linkerd.io/")),
    ...dropped("/spec/containers", spec.containers, CONTAINERS),
    ...dropped("/spec/initContainers", spec.initContainers ?? [], CONTAINERS),
    ...dropped("/spec/volumes", spec.volumes ?? [], VOLUMES),
  ];
  return steps.length === 0 ? { outcome: "skipped" } : { outcome: "uninjected", changes: [{ at, steps }] };
}

function isInjections([name, value]: readonly [string, string]): boolean {
  return ANNOTATIONS.test(name) && !(name === "linkerd.io/inject" && value === "disabled");
}

/** Takes away those of `entries` that are injection's, and the map with the last of them. */
function removed(
  path: string,
  entries: Strings | null | undefined,
  isOurs: (entry: readonly [string, string]) => boolean,
): readonly PatchStep[] {
  const all = Object.entries(entries ?? {});
  const ours = all.filter(isOurs);
  if (ours.length > 0 && ours.length === all.length) return [{ op: "remove", path }];
  return ours.map(([name]) => ({
    op: "remove",
    path: `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`,
  }));
}

/** The last goes first, so that places do not move under what follows. */
function dropped(
  path: string,
  items: readonly { readonly name: string }[],
  names: ReadonlySet<string>,
): readonly PatchStep[] {
  const places = items.flatMap(({ name }, index) => (names.has(name) ? [index] : []));
  if (places.length > 0 && places.length === items.length) return [{ op: "remove", path }];
  return places.toReversed().map((place) => ({ op: "remove", path: `${path}/${place}` }));
}
