/** The pair as Kubernetes objects: a meshed client, a meshed server, and a bystander without a proxy. */
import { BackendPort } from "./pair.ts";

/** Absolute paths of what the pods run. */
export interface Programs {
  readonly node: string;
  readonly agent: string;
  readonly backend: string;
  readonly python: string;
  readonly judge: string;
  readonly grpcServer: string;
  /** Sockets through which the runner talks to the pods. */
  readonly sockets: Readonly<Record<"client" | "bystander" | "server" | "recorder", string>>;
}

const CLIENT = "conformance-client";
export const SERVER = "conformance-server";
const BYSTANDER = "conformance-outside";

/** Seconds between two looks at whether a pod is ready. */
const PROBE_S = 1;

/** Objects for a directory of manifests. */
export function pairObjects(programs: Programs): readonly object[] {
  const { node, agent, backend, python, judge, grpcServer, sockets } = programs;
  const ports = Object.entries(BackendPort).map(([name, port]) => ({
    name,
    port,
    targetPort: port,
    // Declared, so that what is no HTTP is refused; undeclared, it would be carried as it is, as any other protocol.
    ...(port === BackendPort.http1 ? { appProtocol: "http" } : {}),
  }));
  const ready = { readinessProbe: { tcpSocket: { port: BackendPort.h2c }, periodSeconds: PROBE_S } };
  return [
    ...namespace(CLIENT, true),
    workload(CLIENT, [{ name: "agent", command: [node, agent, sockets.client] }]),
    ...namespace(BYSTANDER, false),
    workload(BYSTANDER, [{ name: "agent", command: [node, agent, sockets.bystander] }]),
    ...namespace(SERVER, true),
    workload(SERVER, [
      { name: "agent", command: [node, agent, sockets.server] },
      {
        name: "backend",
        command: [node, backend, sockets.recorder, python, judge],
        ports: [{ containerPort: BackendPort.h2c }, { containerPort: BackendPort.http1 }],
        ...ready,
      },
      {
        name: "grpc",
        command: [grpcServer, `--port=${BackendPort.grpc}`],
        ports: [{ containerPort: BackendPort.grpc }],
      },
    ]),
    {
      apiVersion: "policy.linkerd.io/v1beta3",
      kind: "Server",
      metadata: { name: "http1", namespace: SERVER },
      spec: {
        podSelector: { matchLabels: { app: SERVER } },
        port: BackendPort.http1,
        proxyProtocol: "HTTP/1",
        accessPolicy: "all-unauthenticated",
      },
    },
    service("server", { selector: { app: SERVER }, ports }),
    // Its name resolves to the pod itself, for those who go there without a proxy.
    service("server-pods", { selector: { app: SERVER }, ports, clusterIP: "None" }),
  ];
}

function namespace(name: string, isMeshed: boolean): readonly object[] {
  const annotations = isMeshed ? { annotations: { "linkerd.io/inject": "enabled" } } : {};
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name, ...annotations } },
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: name } },
  ];
}

function workload(name: string, containers: readonly object[]): object {
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name, namespace: name },
    spec: {
      replicas: 1,
      serviceName: name,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { serviceAccountName: name, containers } },
    },
  };
}

function service(name: string, spec: object): object {
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: SERVER }, spec };
}
