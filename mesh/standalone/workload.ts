/** A setting of a process, before references are resolved. */
export type EnvSource =
  | { readonly type: "value"; readonly value: string }
  | { readonly type: "field"; readonly path: string }
  | {
      readonly type: "key";
      readonly kind: "ConfigMap" | "Secret";
      readonly name: string;
      readonly key: string;
      readonly optional: boolean;
    };

/** One entry of a container's `env`. */
export interface EnvVar {
  readonly name: string;
  readonly source: EnvSource;
}

/** All keys of a ConfigMap or Secret, as a container's `envFrom` takes them. */
export interface EnvFrom {
  readonly kind: "ConfigMap" | "Secret";
  readonly name: string;
  readonly prefix: string;
  readonly optional: boolean;
}

/** A port that a container listens on. */
export interface ContainerPort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

/** What a probe does. Ports are resolved: a name that no port has was refused. */
export type ProbeAction =
  | {
      readonly type: "http";
      readonly port: number;
      readonly path: string;
      readonly scheme: "HTTP" | "HTTPS";
      readonly headers: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly type: "tcp"; readonly port: number }
  | { readonly type: "grpc"; readonly port: number; readonly service: string }
  | { readonly type: "exec"; readonly command: readonly string[] };

/** A check of a container, with Kubernetes' thresholds. */
export interface Probe {
  readonly action: ProbeAction;
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** A local process of a pod. */
export interface Container {
  readonly name: string;
  /** Program and arguments, before `$(NAME)` is replaced. */
  readonly command: readonly string[];
  /** As written; a relative path is relative to the file that declares the workload. */
  readonly workingDir?: string;
  readonly env: readonly EnvVar[];
  readonly envFrom: readonly EnvFrom[];
  readonly ports: readonly ContainerPort[];
  readonly startup?: Probe;
  readonly readiness?: Probe;
  readonly liveness?: Probe;
}

/** What every pod of a workload is like. */
export interface PodTemplate {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly restart: "Always" | "OnFailure" | "Never";
  readonly graceMs: number;
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
}

/** Kinds of objects that bring pods. */
export type WorkloadKind = "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "Pod";

/** Pods that the user wants. */
export interface Workload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly replicas: number;
  readonly template: PodTemplate;
  /** The manifest it stands in. */
  readonly file: string;
}
