import { z } from "zod";
import { describeObject, fieldPath, groupOf } from "../source/manifests/document.ts";
import type { ManifestDocument, Problem } from "../source/manifests/document.ts";
import type {
  Container,
  ContainerPort,
  EnvFrom,
  EnvSource,
  EnvVar,
  PodTemplate,
  Probe,
  ProbeAction,
  Workload,
  WorkloadKind,
} from "./workload.ts";

/** Kinds whose pods run here. */
export const WORKLOAD_KINDS = ["Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"] as const;
/** More pods than a developer's machine carries. */
const REPLICAS_MAX = 100;

const Name = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "is no Kubernetes name (lower case, digits, '-' and '.')");
const Port = z.number().int().min(1).max(65_535);
const PortRef = z.union([Port, z.string().min(1)]);
const Seconds = z.number().int().min(0).max(86_400);
const Labels = z.record(z.string(), z.string());

const KeyRef = z.object({ name: Name, key: z.string().min(1), optional: z.boolean().default(false) });
const EnvEntry = z.object({
  name: z.string().regex(/^[^=\0]+$/, "is no name of an environment variable"),
  value: z.string().optional(),
  valueFrom: z
    .object({
      fieldRef: z.object({ fieldPath: z.string().min(1) }).optional(),
      configMapKeyRef: KeyRef.optional(),
      secretKeyRef: KeyRef.optional(),
      resourceFieldRef: z.unknown().optional(),
    })
    .optional(),
});
const SourceRef = z.object({ name: Name, optional: z.boolean().default(false) });
const EnvFromEntry = z.object({
  prefix: z.string().default(""),
  configMapRef: SourceRef.optional(),
  secretRef: SourceRef.optional(),
});
const ProbeSpec = z.object({
  httpGet: z
    .object({
      port: PortRef,
      path: z.string().startsWith("/").default("/"),
      scheme: z.enum(["HTTP", "HTTPS"]).default("HTTP"),
      httpHeaders: z.array(z.object({ name: z.string().min(1), value: z.string() })).default([]),
    })
    .optional(),
  tcpSocket: z.object({ port: PortRef }).optional(),
  grpc: z.object({ port: Port, service: z.string().default("") }).optional(),
  exec: z.object({ command: z.array(z.string()).min(1) }).optional(),
  initialDelaySeconds: Seconds.default(0),
  periodSeconds: z.number().int().min(1).max(86_400).default(10),
  timeoutSeconds: z.number().int().min(1).max(86_400).default(1),
  successThreshold: z.number().int().min(1).max(1_000).default(1),
  failureThreshold: z.number().int().min(1).max(1_000).default(3),
});
const ContainerSpec = z.object({
  name: Name,
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).default([]),
  workingDir: z.string().min(1).optional(),
  env: z.array(EnvEntry).default([]),
  envFrom: z.array(EnvFromEntry).default([]),
  ports: z
    .array(
      z.object({
        name: z.string().optional(),
        containerPort: Port,
        protocol: z.enum(["TCP", "UDP", "SCTP"]).default("TCP"),
      }),
    )
    .default([]),
  startupProbe: ProbeSpec.optional(),
  readinessProbe: ProbeSpec.optional(),
  livenessProbe: ProbeSpec.optional(),
  volumeMounts: z.array(z.unknown()).default([]),
});
const PodSpec = z.object({
  serviceAccountName: Name.optional(),
  restartPolicy: z.enum(["Always", "OnFailure", "Never"]).default("Always"),
  terminationGracePeriodSeconds: Seconds.default(30),
  hostNetwork: z.literal(false, { error: "a pod has a network of its own here" }).optional(),
  initContainers: z.array(ContainerSpec).default([]),
  containers: z.array(ContainerSpec).min(1),
});
const TemplateMetadata = z
  .object({ labels: Labels.default({}), annotations: Labels.default({}) })
  .default({ labels: {}, annotations: {} });
const Template = z.object({ metadata: TemplateMetadata, spec: PodSpec });
const Selector = z.object({ matchLabels: Labels.default({}) });
const Replicas = z.number().int().min(0).max(REPLICAS_MAX);
const Replicated = z.object({
  spec: z.object({ replicas: Replicas.default(1), selector: Selector, template: Template }),
});
const JobObject = z.object({
  spec: z.object({ completions: Replicas.default(1), template: Template }),
});
const PodObject = z.object({ spec: PodSpec });

/** Kinds whose pods run here, and the API groups they are in. */
const GROUPS: Readonly<Record<WorkloadKind, string>> = {
  Deployment: "apps",
  StatefulSet: "apps",
  DaemonSet: "apps",
  Job: "batch",
  Pod: "",
};

/** What came of an object that brings pods. */
export interface Decoded {
  /** Absent if there was an error. */
  readonly workload?: Workload;
  readonly errors: readonly Problem[];
  /** What is not done here, though the pod runs. */
  readonly warnings: readonly Problem[];
}

type Report = (field: string, message: string, severity?: "error" | "warning") => void;
type ContainerSpec = z.infer<typeof ContainerSpec>;
type ProbeSpec = z.infer<typeof ProbeSpec>;

/** The kind of an object that brings pods; `undefined` for others. */
export function workloadKind({ object }: ManifestDocument): WorkloadKind | undefined {
  return WORKLOAD_KINDS.find((kind) => kind === object.kind && GROUPS[kind] === groupOf(object.apiVersion));
}

/** Turns an object into the pods it stands for, or says what is wrong with it. */
export function decodeWorkload(document: ManifestDocument, kind: WorkloadKind): Decoded {
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  const report: Report = (field, message, severity = "error") => {
    const line = document.lineOf(pathOf(field));
    const problem: Problem = {
      severity,
      file: document.file,
      line,
      object: describeObject(document.object),
      field,
      message,
    };
    (severity === "error" ? errors : warnings).push(problem);
  };
  const workload = decodeKind(kind, document, report);
  return workload === undefined || errors.length > 0 ? { errors, warnings } : { workload, errors, warnings };
}

function decodeKind(kind: WorkloadKind, document: ManifestDocument, report: Report): Workload | undefined {
  const { name, namespace, labels, annotations } = document.object.metadata;
  const head = { kind, file: document.file, name, namespace };
  if (!Name.safeParse(name).success) report("metadata.name", "is no Kubernetes name");
  if (kind === "Pod") {
    const pod = parse(PodObject, document, report);
    if (pod === undefined) return undefined;
    const from = { metadata: { labels, annotations }, spec: pod.spec };
    return { ...head, replicas: 1, template: template(from, "", report) };
  }
  if (kind === "Job") {
    const job = parse(JobObject, document, report);
    if (job === undefined) return undefined;
    if (job.spec.template.spec.restartPolicy === "Always")
      report("spec.template.spec.restartPolicy", "a Job needs OnFailure or Never");
    return {
      ...head,
      replicas: job.spec.completions,
      template: template(job.spec.template, "spec.template", report),
    };
  }
  const set = parse(Replicated, document, report);
  if (set === undefined) return undefined;
  selects(set.spec.selector.matchLabels, set.spec.template.metadata.labels, report);
  // There is one node here.
  const replicas = kind === "DaemonSet" ? 1 : set.spec.replicas;
  return { ...head, replicas, template: template(set.spec.template, "spec.template", report) };
}

/** Every issue with its path, as `spec.containers[0].command`. */
function parse<T>(schema: z.ZodType<T>, { object }: ManifestDocument, report: Report): T | undefined {
  const parsed = schema.safeParse(object.rest);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) report(fieldPath(issue.path), issue.message);
  return undefined;
}

/** The reverse of {@link fieldPath}. */
function pathOf(field: string): readonly (string | number)[] {
  return [...field.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, key]) =>
    index === undefined ? (key ?? "") : Number(index),
  );
}

function selects(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
  report: Report,
): void {
  if (Object.keys(selector).length === 0) report("spec.selector.matchLabels", "selects nothing");
  for (const [label, value] of Object.entries(selector)) {
    if (labels[label] !== value)
      report("spec.selector.matchLabels", `${label}=${value} is not on the pod template`);
  }
}

function template(from: z.infer<typeof Template>, at: string, report: Report): PodTemplate {
  const spec = at === "" ? "spec" : `${at}.spec`;
  const ports = from.spec.containers.flatMap((container) => container.ports);
  const each = (list: readonly ContainerSpec[], field: string): readonly Container[] =>
    list.map((container, index) =>
      decodeContainer(container, { at: `${spec}.${field}[${index}]`, ports, report }),
    );
  const names = [...from.spec.initContainers, ...from.spec.containers].map(({ name }) => name);
  for (const name of new Set(names.filter((name, index) => names.indexOf(name) !== index)))
    report(`${spec}.containers`, `two containers are called ${name}`);
  return {
    labels: from.metadata.labels,
    annotations: from.metadata.annotations,
    serviceAccount: from.spec.serviceAccountName ?? "default",
    restart: from.spec.restartPolicy,
    graceMs: from.spec.terminationGracePeriodSeconds * 1_000,
    initContainers: each(from.spec.initContainers, "initContainers"),
    containers: each(from.spec.containers, "containers"),
  };
}

interface Where {
  readonly at: string;
  readonly ports: readonly { readonly name?: string | undefined; readonly containerPort: number }[];
  readonly report: Report;
}

function decodeContainer(from: ContainerSpec, where: Where): Container {
  const { at, report } = where;
  if (from.command === undefined || from.command.length === 0) {
    report(
      `${at}.command`,
      `container ${from.name} has no command: images are not pulled here, so the program to run has to be named`,
    );
  }
  if (from.volumeMounts.length > 0)
    report(`${at}.volumeMounts`, "volumes are not mounted: the process sees this machine's files", "warning");
  const probe = (name: "startupProbe" | "readinessProbe" | "livenessProbe"): Probe | undefined => {
    const spec = from[name];
    return spec === undefined ? undefined : decodeProbe(spec, { ...where, at: `${at}.${name}` });
  };
  const startup = probe("startupProbe");
  const readiness = probe("readinessProbe");
  const liveness = probe("livenessProbe");
  return {
    name: from.name,
    command: [...(from.command ?? []), ...from.args],
    ...(from.workingDir === undefined ? {} : { workingDir: from.workingDir }),
    env: from.env.flatMap((entry, index) => decodeEnv(entry, `${at}.env[${index}]`, report)),
    envFrom: from.envFrom.flatMap((entry, index) => decodeEnvFrom(entry, `${at}.envFrom[${index}]`, report)),
    ports: from.ports.map(({ name, containerPort, protocol }): ContainerPort => ({
      ...(name === undefined ? {} : { name }),
      port: containerPort,
      protocol,
    })),
    ...(startup === undefined ? {} : { startup }),
    ...(readiness === undefined ? {} : { readiness }),
    ...(liveness === undefined ? {} : { liveness }),
  };
}

function decodeEnv(entry: z.infer<typeof EnvEntry>, at: string, report: Report): readonly EnvVar[] {
  const { name, value, valueFrom } = entry;
  if (valueFrom === undefined) return [{ name, source: { type: "value", value: value ?? "" } }];
  const { fieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  const found: EnvSource[] = [];
  if (fieldRef !== undefined) found.push({ type: "field", path: fieldRef.fieldPath });
  if (configMapKeyRef !== undefined) found.push({ type: "key", kind: "ConfigMap", ...configMapKeyRef });
  if (secretKeyRef !== undefined) found.push({ type: "key", kind: "Secret", ...secretKeyRef });
  const [source] = found;
  if (source === undefined || found.length > 1) {
    report(`${at}.valueFrom`, "needs one of fieldRef, configMapKeyRef, secretKeyRef");
    return [];
  }
  return [{ name, source }];
}

function decodeEnvFrom(entry: z.infer<typeof EnvFromEntry>, at: string, report: Report): readonly EnvFrom[] {
  const { prefix, configMapRef, secretRef } = entry;
  if (configMapRef !== undefined && secretRef === undefined)
    return [{ kind: "ConfigMap", prefix, ...configMapRef }];
  if (secretRef !== undefined && configMapRef === undefined)
    return [{ kind: "Secret", prefix, ...secretRef }];
  report(at, "needs one of configMapRef, secretRef");
  return [];
}

function decodeProbe(spec: ProbeSpec, where: Where): Probe | undefined {
  const port = (ref: number | string, field: string): number => {
    if (typeof ref === "number") return ref;
    const named = where.ports.find(({ name }) => name === ref);
    if (named === undefined)
      where.report(`${where.at}.${field}.port`, `no port of this pod is called ${ref}`);
    return named?.containerPort ?? 0;
  };
  const actions: ProbeAction[] = [];
  if (spec.httpGet !== undefined) {
    const { path, scheme, httpHeaders } = spec.httpGet;
    actions.push({
      type: "http",
      port: port(spec.httpGet.port, "httpGet"),
      path,
      scheme,
      headers: httpHeaders,
    });
  }
  if (spec.tcpSocket !== undefined)
    actions.push({ type: "tcp", port: port(spec.tcpSocket.port, "tcpSocket") });
  if (spec.grpc !== undefined) actions.push({ type: "grpc", ...spec.grpc });
  if (spec.exec !== undefined) actions.push({ type: "exec", command: spec.exec.command });
  const [action] = actions;
  if (action === undefined || actions.length > 1) {
    where.report(where.at, "needs one of httpGet, tcpSocket, grpc, exec");
    return undefined;
  }
  return {
    action,
    initialDelayMs: spec.initialDelaySeconds * 1_000,
    periodMs: spec.periodSeconds * 1_000,
    timeoutMs: spec.timeoutSeconds * 1_000,
    successThreshold: spec.successThreshold,
    failureThreshold: spec.failureThreshold,
  };
}
