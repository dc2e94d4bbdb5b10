/** Kubernetes objects of which the tests' meshes are made. */

/** A namespace and one service account of its own name in it. */
export function namespace(
  name: string,
  options: { readonly isMeshed: boolean; readonly accounts?: readonly string[] },
): readonly object[] {
  const annotations = options.isMeshed ? { annotations: { "linkerd.io/inject": "enabled" } } : {};
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name, ...annotations } },
    ...(options.accounts ?? [name]).map((account) => ({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: account, namespace: name },
    })),
  ];
}

/** What a stateful set runs; its pods are called `name-0`, `name-1`, ... */
export interface Set {
  readonly name: string;
  readonly namespace: string;
  readonly account?: string;
  readonly replicas?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly containers: readonly object[];
}

export function statefulSet({
  name,
  namespace,
  account,
  replicas = 1,
  annotations = {},
  labels = {},
  containers,
}: Set): object {
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name, namespace },
    spec: {
      replicas,
      serviceName: name,
      podManagementPolicy: "Parallel",
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name, ...labels }, annotations },
        spec: { serviceAccountName: account ?? namespace, terminationGracePeriodSeconds: 5, containers },
      },
    },
  };
}

export function service(
  name: string,
  namespace: string,
  spec: {
    readonly app: string;
    readonly ports: readonly number[];
    readonly isHeadless?: boolean;
    readonly annotations?: Readonly<Record<string, string>>;
  },
): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace, annotations: spec.annotations ?? {} },
    spec: {
      selector: { app: spec.app },
      ports: spec.ports.map((port) => ({ name: `p${port}`, port, targetPort: port })),
      ...(spec.isHeadless === true ? { clusterIP: "None" } : {}),
    },
  };
}
