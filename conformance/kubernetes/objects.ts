/** The objects that the acts are played with. Pure. */
import { z } from "zod";
import { ECHO_IMAGE, type KubeObject } from "./world.ts";

export const PORT = 8080;

export interface App {
  readonly name: string;
  readonly namespace: string;
  readonly replicas?: number;
  /** What its answers say they are of. */
  readonly version?: string;
  /** Labels besides `app`. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly account?: string;
  /** The node that it must run on; otherwise its pods are spread. */
  readonly node?: string;
}

export function namespace(
  name: string,
  annotations: Readonly<Record<string, string>> = {},
  labels: Readonly<Record<string, string>> = {},
): KubeObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, annotations, labels } };
}

const Template = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({ spec: z.looseObject({ containers: z.array(z.looseObject({})) }) }),
  }),
});

/** A deployment as the "restricted" Pod Security Standard wants it. */
export function restricted(of: KubeObject): KubeObject {
  const { spec } = Template.parse(of);
  const { template } = spec;
  const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } };
  const containers = template.spec.containers.map((one) => ({ ...one, securityContext }));
  const pod = { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } };
  return {
    ...of,
    spec: {
      ...spec,
      template: { ...template, spec: { ...template.spec, securityContext: pod, containers } },
    },
  };
}

export function serviceAccount(name: string, of: string): KubeObject {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: of } };
}

/** Pods that answer with what they saw, and in which one can ask. They end as a well-behaved application does. */
export function deployment(app: App): KubeObject {
  const { name, namespace: of, replicas = 1, version = "v1", labels = {}, account = "default", node } = app;
  const all = { app: name, ...labels };
  const place =
    node === undefined
      ? {
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: "kubernetes.io/hostname",
              whenUnsatisfiable: "ScheduleAnyway",
              labelSelector: { matchLabels: { app: name } },
            },
          ],
        }
      : { nodeSelector: { "kubernetes.io/hostname": node } };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: of },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: all },
        spec: {
          ...place,
          serviceAccountName: account,
          terminationGracePeriodSeconds: 20,
          containers: [container(version)],
        },
      },
    },
  };
}

export function container(version: string): KubeObject {
  return {
    name: "echo",
    image: ECHO_IMAGE,
    args: [`--port=${PORT}`],
    env: [{ name: "VERSION", value: version }],
    ports: [{ name: "http", containerPort: PORT }],
    readinessProbe: { httpGet: { path: "/", port: "http" }, periodSeconds: 1 },
  };
}

export function service(name: string, of: string, selector: Readonly<Record<string, string>>): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: of },
    spec: { selector, ports: [{ name: "http", port: PORT, targetPort: "http" }] },
  };
}

/** At most one pod of an app may be missing by anybody's will. */
export function disruptionBudget(name: string, of: string): KubeObject {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name, namespace: of },
    spec: { maxUnavailable: 1, selector: { matchLabels: { app: name } } },
  };
}

/** A pod that runs to its end: it asks once before it begins, and once more. */
export function job(name: string, of: string, url: string): KubeObject {
  const asking = { image: ECHO_IMAGE, command: ["client", url] };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name, namespace: of },
    spec: {
      backoffLimit: 0,
      template: {
        metadata: { labels: { app: name } },
        spec: {
          restartPolicy: "Never",
          initContainers: [{ name: "before", ...asking }],
          containers: [{ name: "once", ...asking }],
        },
      },
    },
  };
}

export function urlOf(name: string, of: string): string {
  return `http://${name}.${of}.svc.cluster.local:${PORT}/`;
}
