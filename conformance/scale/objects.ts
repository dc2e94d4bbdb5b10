/** The objects of a large cluster, made when they are asked for: services of ten endpoints each, one pod an endpoint. */

export const ENDPOINTS_EACH = 10;
const NAMESPACES = 100;

/** Addresses of endpoints that came later begin with these bits; what follows is the number of the change. */
export const CHANGED_NETWORK = 128;

export function namespaceOf(service: number): string {
  return `ns-${service % NAMESPACES}`;
}

export function serviceName(service: number): string {
  return `svc-${service}`;
}

const WRITTEN = "2026-01-01T00:00:00Z";

function metadata(name: string, namespace: string | undefined, more: object): object {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid: `00000000-0000-0000-0000-${name}`,
    resourceVersion: "1",
    creationTimestamp: WRITTEN,
    managedFields: [{ manager: "kubelet", operation: "Update", time: WRITTEN, fieldsV1: {} }],
    ...more,
  };
}

export function namespaces(): readonly object[] {
  return Array.from({ length: NAMESPACES }, (_, at) => ({
    metadata: metadata(namespaceOf(at), undefined, {}),
  }));
}

export function service(index: number): object {
  const app = serviceName(index);
  return {
    metadata: metadata(app, namespaceOf(index), { labels: { app } }),
    spec: {
      type: "ClusterIP",
      clusterIP: `10.${64 + (index >> 16)}.${(index >> 8) & 0xff}.${index & 0xff}`,
      selector: { app },
      ports: [{ name: "http", port: 8080, targetPort: 8080, protocol: "TCP" }],
    },
  };
}

/** One endpoint: the pod it is, and where. */
export interface Place {
  readonly pod: string;
  readonly ip: string;
}

/** The endpoints that a service begins with. */
export function places(index: number): readonly Place[] {
  return Array.from({ length: ENDPOINTS_EACH }, (_, at) => {
    const number = index * ENDPOINTS_EACH + at;
    return {
      pod: `${serviceName(index)}-${at}`,
      ip: `10.${number >> 16}.${(number >> 8) & 0xff}.${number & 0xff}`,
    };
  });
}

/** Where the endpoint of change `number` is. */
export function changedIp(number: number): string {
  return `10.${CHANGED_NETWORK | (number >> 16)}.${(number >> 8) & 0xff}.${number & 0xff}`;
}

/** A meshed pod as large as they are: about 4 KiB. */
export function pod(index: number, { pod: name, ip }: Place): object {
  const app = serviceName(index);
  const environment = Array.from({ length: 30 }, (_, at) => ({
    name: `LINKERD2_PROXY_SETTING_NUMBER_${at}`,
    value: "something-of-a-realistic-length:8080",
  }));
  return {
    metadata: metadata(name, namespaceOf(index), {
      labels: {
        app,
        "pod-template-hash": "6d4cf56db6",
        "linkerd.io/control-plane-ns": "linkerd",
        "linkerd.io/proxy-deployment": app,
        "linkerd.io/workload-ns": namespaceOf(index),
      },
      annotations: {
        "linkerd.io/created-by": "linkerd/proxy-injector 2.20",
        "linkerd.io/proxy-version": "2.20",
        "linkerd.io/inject": "enabled",
      },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${app}-6d4cf56db6`, controller: true },
      ],
    }),
    spec: {
      serviceAccountName: app,
      nodeName: `node-${index % 500}`,
      initContainers: [
        {
          name: "linkerd-proxy",
          restartPolicy: "Always",
          env: environment,
          ports: [
            { name: "linkerd-proxy", containerPort: 4143 },
            { name: "linkerd-admin", containerPort: 4191 },
          ],
          livenessProbe: { httpGet: { path: "/live", port: 4191 } },
          readinessProbe: { httpGet: { path: "/ready", port: 4191 } },
        },
      ],
      containers: [
        {
          name: "app",
          ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
          readinessProbe: { httpGet: { path: "/healthz", port: "http" } },
        },
      ],
    },
    status: {
      phase: "Running",
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [
        { type: "Initialized", status: "True", lastTransitionTime: WRITTEN },
        { type: "Ready", status: "True", lastTransitionTime: WRITTEN },
        { type: "ContainersReady", status: "True", lastTransitionTime: WRITTEN },
      ],
    },
  };
}

export function slice(index: number, endpoints: readonly Place[]): object {
  const app = serviceName(index);
  return {
    metadata: metadata(`${app}-abcde`, namespaceOf(index), {
      labels: {
        "kubernetes.io/service-name": app,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
      },
      ownerReferences: [{ apiVersion: "v1", kind: "Service", name: app, controller: true }],
    }),
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: endpoints.map(({ pod: name, ip }) => ({
      addresses: [ip],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${index % 500}`,
      zone: `zone-${index % 3}`,
      targetRef: { kind: "Pod", namespace: namespaceOf(index), name, uid: name },
    })),
  };
}
