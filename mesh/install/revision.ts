/** A revision's part of an installation: its workloads, services, values and webhook. The rest is the first control plane's. Pure. */
import { parse, stringify } from "yaml";
import { z } from "zod";
import { REVISION_LABEL, ofRevision } from "../model/revision.ts";
import type { Rendered } from "./chart.ts";
import { WORKLOAD_LABEL } from "./component/meta.ts";

const Strings = z.record(z.string(), z.string());
const Meta = z.looseObject({ name: z.string(), labels: Strings.default({}) });
const Env = z.looseObject({ name: z.string(), value: z.unknown().optional() });
const Container = z.looseObject({
  name: z.string(),
  args: z.array(z.string()).optional(),
  env: z.array(Env).optional(),
});
const Any = z.looseObject({ kind: z.string(), metadata: Meta });
const Selector = z.looseObject({ matchLabels: Strings });
/** Other pods of the same Deployment, which are kept away. */
const Near = z.looseObject({ labelSelector: Selector, topologyKey: z.string() });
const Affinity = z.looseObject({
  podAntiAffinity: z
    .looseObject({
      preferredDuringSchedulingIgnoredDuringExecution: z.array(z.looseObject({ podAffinityTerm: Near })),
      requiredDuringSchedulingIgnoredDuringExecution: z.array(Near),
    })
    .optional(),
});
const Deployment = z.looseObject({
  spec: z.looseObject({
    selector: Selector,
    template: z.looseObject({
      metadata: z.looseObject({ labels: Strings }),
      spec: z.looseObject({ containers: z.array(Container), affinity: Affinity.optional() }),
    }),
  }),
});
const Service = z.looseObject({ spec: z.looseObject({ selector: Strings }) });
const Budget = z.looseObject({ spec: z.looseObject({ selector: Selector }) });
const Expression = z.looseObject({ key: z.string() });
const Webhooks = z.looseObject({
  webhooks: z.array(
    z.looseObject({
      name: z.string(),
      namespaceSelector: z.looseObject({ matchExpressions: z.array(Expression).default([]) }).prefault({}),
      clientConfig: z.looseObject({ service: z.looseObject({ name: z.string() }) }),
    }),
  ),
});
const Role = z.looseObject({
  rules: z.array(z.looseObject({ resourceNames: z.array(z.string()).optional() })),
});
const Binding = z.looseObject({ roleRef: z.looseObject({ name: z.string() }) });

type KubeObject = Readonly<Record<string, unknown>>;

/** The validating webhooks are the first control plane's. */
const VALIDATORS = ["--policy-validator-listen", "--profile-validator-listen"] as const;
const INJECTOR = "proxy-injector";

/** What of `rendered` a revision has for itself, under its own names. */
export function revisionManifests(rendered: readonly Rendered[], revision: string): readonly Rendered[] {
  return rendered.flatMap(({ kind, source, yaml }): readonly Rendered[] => {
    const object = Any.parse(parse(yaml, { version: "1.1", schema: "core" }));
    const made = own(object, revision);
    if (made === undefined) return [];
    const labelled = {
      ...made,
      metadata: {
        ...object.metadata,
        name: nameOf(object, revision),
        labels: { ...object.metadata.labels, [REVISION_LABEL]: revision },
      },
    };
    return [{ kind, source, yaml: stringify(labelled, { lineWidth: 0, version: "1.1", schema: "core" }) }];
  });
}

function nameOf({ kind, metadata: { name } }: z.infer<typeof Any>, revision: string): string {
  return kind.includes("Role") ? `${name}-${revision}` : ofRevision(name, revision);
}

function own(object: z.infer<typeof Any>, revision: string): KubeObject | undefined {
  const { kind, metadata } = object;
  const isOwn = ofRevision(metadata.name, revision) !== metadata.name;
  switch (kind) {
    case "ConfigMap":
      return isOwn ? object : undefined;
    case "Deployment":
      return deployment(Deployment.parse(object), revision);
    case "PodDisruptionBudget": {
      const { spec, ...rest } = Budget.parse(object);
      return { ...rest, spec: { ...spec, selector: selector(spec.selector, revision) } };
    }
    case "Service": {
      if (!isOwn) return undefined;
      const { spec, ...rest } = Service.parse(object);
      return { ...rest, spec: { ...spec, selector: labels(spec.selector, revision) } };
    }
    case "MutatingWebhookConfiguration":
      return webhook(Webhooks.parse(object), revision);
    // The injector alone is held to names that a revision has for itself.
    case "Role":
    case "ClusterRole":
      return isInjectors(metadata) ? role(Role.parse(object), revision) : undefined;
    case "RoleBinding":
    case "ClusterRoleBinding": {
      if (!isInjectors(metadata)) return undefined;
      const { roleRef, ...rest } = Binding.parse(object);
      return { ...rest, roleRef: { ...roleRef, name: `${roleRef.name}-${revision}` } };
    }
    default:
      return undefined;
  }
}

function isInjectors({ labels: all }: z.infer<typeof Meta>): boolean {
  return all["linkerd.io/control-plane-component"] === INJECTOR;
}

function labels(of: Readonly<Record<string, string>>, revision: string): Readonly<Record<string, string>> {
  const workload = of[WORKLOAD_LABEL];
  return workload === undefined ? of : { ...of, [WORKLOAD_LABEL]: ofRevision(workload, revision) };
}

function selector(of: z.infer<typeof Selector>, revision: string): KubeObject {
  return { ...of, matchLabels: labels(of.matchLabels, revision) };
}

function deployment({ spec, ...rest }: z.infer<typeof Deployment>, revision: string): KubeObject {
  const { metadata, spec: pod, ...template } = spec.template;
  return {
    ...rest,
    spec: {
      ...spec,
      selector: selector(spec.selector, revision),
      template: {
        ...template,
        metadata: {
          ...metadata,
          labels: { ...labels(metadata.labels, revision), [REVISION_LABEL]: revision },
        },
        spec: {
          ...pod,
          ...(pod.affinity === undefined ? {} : { affinity: affinity(pod.affinity, revision) }),
          containers: pod.containers.map((one) => container(one, revision)),
        },
      },
    },
  };
}

function affinity(
  { podAntiAffinity: apart, ...rest }: z.infer<typeof Affinity>,
  revision: string,
): KubeObject {
  if (apart === undefined) return rest;
  const near = ({ labelSelector, ...term }: z.infer<typeof Near>): KubeObject => ({
    ...term,
    labelSelector: selector(labelSelector, revision),
  });
  return {
    ...rest,
    podAntiAffinity: {
      ...apart,
      preferredDuringSchedulingIgnoredDuringExecution:
        apart.preferredDuringSchedulingIgnoredDuringExecution.map(({ podAffinityTerm, ...one }) => ({
          ...one,
          podAffinityTerm: near(podAffinityTerm),
        })),
      requiredDuringSchedulingIgnoredDuringExecution:
        apart.requiredDuringSchedulingIgnoredDuringExecution.map(near),
    },
  };
}

function container({ args, env, ...rest }: z.infer<typeof Container>, revision: string): KubeObject {
  const kept = args?.filter((word) => !VALIDATORS.some((flag) => word.startsWith(flag)));
  return {
    ...rest,
    ...(kept === undefined
      ? {}
      : { args: rest.name === INJECTOR ? [...kept, `--revision=${revision}`] : kept }),
    ...(env === undefined ? {} : { env: env.map((one) => variable(one, revision)) }),
  };
}

/** A proxy's addresses of the control plane are its revision's; the identities that it expects there are not. */
function variable(of: z.infer<typeof Env>, revision: string): KubeObject {
  const { name, value } = of;
  if (!name.endsWith("_SVC_ADDR") || typeof value !== "string") return of;
  return { ...of, value: value.replace(/^[^.]+/, (service) => ofRevision(service, revision)) };
}

function webhook({ webhooks, ...rest }: z.infer<typeof Webhooks>, revision: string): KubeObject {
  return {
    ...rest,
    webhooks: webhooks.map(({ namespaceSelector, clientConfig, ...one }) => ({
      ...one,
      namespaceSelector: {
        ...namespaceSelector,
        matchExpressions: [
          ...namespaceSelector.matchExpressions.filter(({ key }) => key !== REVISION_LABEL),
          { key: REVISION_LABEL, operator: "In", values: [revision] },
        ],
      },
      clientConfig: {
        ...clientConfig,
        service: { ...clientConfig.service, name: ofRevision(clientConfig.service.name, revision) },
      },
    })),
  };
}

function role({ rules, ...rest }: z.infer<typeof Role>, revision: string): KubeObject {
  return {
    ...rest,
    rules: rules.map(({ resourceNames, ...rule }) => ({
      ...rule,
      ...(resourceNames === undefined
        ? {}
        : { resourceNames: resourceNames.map((name) => ofRevision(name, revision)) }),
    })),
  };
}
