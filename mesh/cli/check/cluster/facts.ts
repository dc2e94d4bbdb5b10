/** What is learnt of a cluster before the first check is made. Each fact may be missing, with its reason. */
import type { Certificate } from "@hauberk/crypto/certificate.ts";
import type { Values } from "@hauberk/mesh/install/values/schema.ts";
import type { Learnt } from "../facts.ts";

/** A pod, as far as checks look at it. */
export interface PodFact {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly phase: string;
  readonly isReady: boolean;
  /** Why it is not scheduled. */
  readonly unschedulable: string | undefined;
  readonly isLeaving: boolean;
  readonly onHostNetwork: boolean;
  readonly ips: readonly string[];
  readonly containers: readonly ContainerFact[];
}

export interface ContainerFact {
  readonly name: string;
  readonly image: string;
  readonly isReady: boolean;
  /** Why it waits or ended, in Kubernetes' word. */
  readonly reason: string | undefined;
  readonly ports: readonly number[];
}

export interface ServiceFact {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly clusterIps: readonly string[];
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly port: number; readonly targetPort: number | string }[];
}

export interface NodeFact {
  readonly name: string;
  readonly podCidrs: readonly string[];
  readonly runtime: string;
}

export interface NamespaceFact {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface WorkloadFact {
  readonly name: string;
  readonly wanted: number;
  readonly ready: number;
}

/** A webhook's certificate, and what API servers were told of it. */
export interface WebhookFact {
  /** `proxy-injector`, `sp-validator`, `policy-validator`. */
  readonly name: string;
  readonly serving: Learnt<Certificate>;
  readonly bundle: Learnt<readonly Certificate[]>;
}

/** Names of objects of one kind. */
export type Names = ReadonlySet<string>;

export interface ClusterFacts {
  readonly nowMs: number;
  readonly cliVersion: string;
  /** The version that everything should have. */
  readonly expectedVersion: string;
  readonly namespace: string;
  readonly cniNamespace: string;
  /** Namespace whose data plane is looked at; `undefined`: all. */
  readonly dataPlane: string | undefined;
  /** `gitVersion` of the API server. */
  readonly server: Learnt<string>;
  /** Names of all CustomResourceDefinitions. */
  readonly kinds: Learnt<Names>;
  readonly config: Learnt<Values>;
  /** Names of the control plane's objects of the whole cluster, by kind. */
  readonly objects: Learnt<ReadonlyMap<string, Names>>;
  /** The same for the CNI plugin. */
  readonly cni: Learnt<ReadonlyMap<string, Names>>;
  readonly cniDaemon: Learnt<WorkloadFact>;
  readonly replicaSets: Learnt<readonly WorkloadFact[]>;
  readonly pods: Learnt<readonly PodFact[]>;
  readonly services: Learnt<readonly ServiceFact[]>;
  readonly nodes: Learnt<readonly NodeFact[]>;
  readonly namespaces: Learnt<readonly NamespaceFact[]>;
  readonly anchors: Learnt<readonly Certificate[]>;
  readonly issuer: Learnt<readonly Certificate[]>;
  readonly webhooks: readonly WebhookFact[];
  /** When each node last said that it lives. */
  readonly heartbeats: Learnt<readonly { readonly node: string; readonly atMs: number }[]>;
  /** What the user may do: `verb resource.group` with the answer. Filled for `--pre`. */
  readonly access: Learnt<ReadonlyMap<string, boolean>>;
}
