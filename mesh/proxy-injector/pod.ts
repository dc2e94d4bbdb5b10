/** The parts of pods, templates and Services that injection looks at. Everything else passes through unread. Pure. */
import { z } from "zod";

const Strings = z.record(z.string(), z.string());

const Port = z.looseObject({
  containerPort: z.number().int(),
  name: z.string().optional(),
  protocol: z.string().default("TCP"),
});

const NumberOrName = z.union([z.number().int(), z.string()]);
const Probe = z.looseObject({
  httpGet: z.looseObject({ port: NumberOrName }).nullish(),
  grpc: z.looseObject({ port: z.number().int() }).nullish(),
});

const Container = z.looseObject({
  name: z.string().default(""),
  image: z.string().default(""),
  ports: z.array(Port).nullish(),
  livenessProbe: Probe.nullish(),
  readinessProbe: Probe.nullish(),
  startupProbe: Probe.nullish(),
  restartPolicy: z.string().optional(),
  securityContext: z.looseObject({ runAsUser: z.number().int().optional() }).nullish(),
});
type Container = z.infer<typeof Container>;

const OwnerReference = z.looseObject({
  kind: z.string(),
  name: z.string(),
  controller: z.boolean().default(false),
});
export type OwnerReference = z.infer<typeof OwnerReference>;

const Metadata = z.looseObject({
  name: z.string().default(""),
  generateName: z.string().default(""),
  namespace: z.string().default(""),
  labels: Strings.nullish(),
  annotations: Strings.nullish(),
  ownerReferences: z.array(OwnerReference).nullish(),
});

/** A pod, or the template of one. */
export const Pod = z.looseObject({
  metadata: Metadata.nullish(),
  spec: z.looseObject({
    containers: z.array(Container).min(1, "a pod has a container"),
    initContainers: z.array(Container).nullish(),
    volumes: z.array(z.looseObject({ name: z.string() })).nullish(),
    hostNetwork: z.boolean().nullish(),
    restartPolicy: z.string().nullish(),
    serviceAccountName: z.string().nullish(),
    securityContext: z.looseObject({ runAsUser: z.number().int().optional() }).nullish(),
  }),
});
export type Pod = z.infer<typeof Pod>;

/** A Service, as far as its ports. */
export const Service = z.looseObject({
  metadata: Metadata,
  spec: z
    .looseObject({
      ports: z
        .array(z.looseObject({ port: z.number().int(), targetPort: NumberOrName.optional() }))
        .nullish(),
    })
    .nullish(),
});
export type Service = z.infer<typeof Service>;

/** The containers that run as long as the pod: those of the app and native sidecars. */
export function lasting({ spec }: Pod): readonly Container[] {
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...sidecars, ...spec.containers];
}

/** TCP ports that a pod listens on, by what it declares and by what it is probed at; in order. */
export function tcpPorts(pod: Pod): readonly number[] {
  const named = namedPorts(pod);
  const ports = lasting(pod).flatMap((container) => [
    ...(container.ports ?? []).filter(({ protocol }) => protocol === "TCP").map((port) => port.containerPort),
    ...probedPorts(container, named),
  ]);
  return [...new Set(ports)].toSorted((a, b) => a - b);
}

/** Numbers of a pod's named TCP ports. Of two of one name the first counts, as it does for Services. */
export function namedPorts(pod: Pod): ReadonlyMap<string, number> {
  const named = new Map<string, number>();
  for (const { ports } of lasting(pod)) {
    for (const { name, containerPort, protocol } of ports ?? [])
      if (name !== undefined && protocol === "TCP" && !named.has(name)) named.set(name, containerPort);
  }
  return named;
}

function probedPorts(container: Container, named: ReadonlyMap<string, number>): readonly number[] {
  const { livenessProbe, readinessProbe, startupProbe } = container;
  return [livenessProbe, readinessProbe, startupProbe].flatMap((probe) => {
    const port = probe?.httpGet?.port ?? probe?.grpc?.port;
    const number = typeof port === "string" ? named.get(port) : port;
    return number === undefined ? [] : [number];
  });
}
