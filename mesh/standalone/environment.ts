import { dirname, resolve } from "node:path";
import type { Container, EnvFrom, EnvSource } from "./workload.ts";

/** Facts of a pod that `fieldRef` can name. */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly node: string;
  readonly nodeIp: string;
  readonly ips: readonly string[];
}

/** Values of a ConfigMap or Secret of the pod's namespace; `undefined`: there is no such object. */
export type Lookup = (
  kind: "ConfigMap" | "Secret",
  name: string,
) => Readonly<Record<string, string>> | undefined;

/** A process as it is started. */
export interface Process {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** What of a container cannot be resolved. */
export class EnvironmentError extends Error {
  override readonly name = "EnvironmentError";
}

/** Resolves references and replaces `$(NAME)`. `base` is what every process gets; `file` declares the workload. */
export function processOf(
  container: Container,
  pod: PodFacts,
  options: {
    readonly lookup: Lookup;
    readonly base: Readonly<Record<string, string>>;
    readonly file: string;
  },
): Process {
  const environment: Record<string, string> = { ...options.base, HOSTNAME: pod.name };
  for (const source of container.envFrom) Object.assign(environment, allOf(source, options.lookup));
  for (const { name, source } of container.env) {
    const value = valueOf(source, pod, options.lookup);
    if (value !== undefined) environment[name] = expand(value, environment);
  }
  return {
    command: container.command.map((word) => expand(word, environment)),
    environment,
    cwd: resolve(dirname(options.file), container.workingDir ?? "."),
  };
}

/**
 * Replaces `$(NAME)` by its value, leaves unknown names as they are, and turns `$$(NAME)` into `$(NAME)`
 * (Kubernetes API, Container v1, `command`).
 */
export function expand(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) =>
    name === undefined ? "$" : (environment[name] ?? whole),
  );
}

function allOf({ kind, name, prefix, optional }: EnvFrom, lookup: Lookup): Record<string, string> {
  const values = lookup(kind, name);
  if (values === undefined && !optional) throw new EnvironmentError(`there is no ${kind} ${name}`);
  return Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [`${prefix}${key}`, value]));
}

function valueOf(source: EnvSource, pod: PodFacts, lookup: Lookup): string | undefined {
  if (source.type === "value") return source.value;
  if (source.type === "field") return fieldOf(source.path, pod);
  const value = lookup(source.kind, source.name)?.[source.key];
  if (value === undefined && !source.optional)
    throw new EnvironmentError(`${source.kind} ${source.name} has no key ${source.key}`);
  return value;
}

const SUBSCRIPT = /^metadata\.(labels|annotations)\['([^']+)'\]$/;

function fieldOf(path: string, pod: PodFacts): string {
  const [, map, key = ""] = SUBSCRIPT.exec(path) ?? [];
  if (map === "labels") return pod.labels[key] ?? "";
  if (map === "annotations") return pod.annotations[key] ?? "";
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": pod.name,
    "metadata.namespace": pod.namespace,
    "metadata.uid": pod.uid,
    "spec.serviceAccountName": pod.serviceAccount,
    "spec.nodeName": pod.node,
    "status.hostIP": pod.nodeIp,
    "status.podIP": pod.ips[0] ?? "",
    "status.podIPs": pod.ips.join(","),
  };
  const value = fields[path];
  if (value === undefined) throw new EnvironmentError(`fieldRef ${path} is not supported`);
  return value;
}
