/** The containers and volumes that injection adds, as Linkerd 2.20 has them (INTERFACE §3). Pure. */
import type { EnvVar, InjectorSettings } from "./settings.ts";

/** What of a proxy's container is chosen by values and annotations. */
export interface ContainerChoices {
  readonly image: string;
  readonly pullPolicy: string;
  /** Whether the proxy is of our make. */
  readonly isOurs: boolean;
  /** Of the redirection, the validator and the waiting: they are in our image, whatever proxy runs. */
  readonly initImage: string;
  readonly uid: number;
  readonly gid: number | undefined;
  readonly resources: Readonly<Record<string, unknown>> | undefined;
  readonly isNative: boolean;
  readonly isAwaited: boolean;
  readonly waitBeforeExitSeconds: number;
  readonly inboundPort: number;
  readonly outboundPort: number;
  readonly adminPort: number;
}

type Container = Readonly<Record<string, unknown>>;

export const PROXY_CONTAINER = "linkerd-proxy";
export const INIT_CONTAINER = "linkerd-init";
export const VALIDATOR_CONTAINER = "linkerd-network-validator";
export const DEBUG_CONTAINER = "linkerd-debug";
const IDENTITY_VOLUME = "linkerd-identity-end-entity";
const TOKEN_VOLUME = "linkerd-identity-token";
export const IDENTITY_DIR = "/var/run/linkerd/identity/end-entity";
const TOKEN_DIR = "/var/run/secrets/tokens";
/** Where the proxy finds the proof of who it is. */
export const TOKEN_FILE = `${TOKEN_DIR}/linkerd-identity-token`;
/** The audience of that proof: no other service accepts it. */
const TOKEN_AUDIENCE = "identity.l5d.io";
const TOKEN_SECONDS = 86_400;
/** In every image of the proxy, ours and Linkerd's. */
const AWAIT = "/usr/lib/linkerd/linkerd-await";

/** What the "restricted" Pod Security Standard asks of a container. */
const RESTRICTED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
  seccompProfile: { type: "RuntimeDefault" },
};

/** The proxy. */
export function proxyContainer(
  choices: ContainerChoices,
  { env, settings }: { readonly env: readonly EnvVar[]; readonly settings: InjectorSettings },
): Container {
  const { livenessProbe, readinessProbe, startupProbe } = settings.proxy;
  const asks = (path: string) => ({ httpGet: { path, port: choices.adminPort } });
  return {
    name: PROXY_CONTAINER,
    image: choices.image,
    imagePullPolicy: choices.pullPolicy,
    env,
    ports: [
      { name: "linkerd-proxy", containerPort: choices.inboundPort },
      { name: "linkerd-admin", containerPort: choices.adminPort },
    ],
    livenessProbe: { ...asks("/live"), ...livenessProbe },
    readinessProbe: { ...asks("/ready"), ...readinessProbe },
    ...(choices.isNative
      ? { restartPolicy: "Always", startupProbe: { ...asks("/ready"), ...startupProbe } }
      : {}),
    ...(choices.resources === undefined ? {} : { resources: choices.resources }),
    securityContext: {
      ...RESTRICTED,
      runAsUser: choices.uid,
      ...(choices.gid === undefined ? {} : { runAsGroup: choices.gid }),
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
    ...lifecycle(choices),
    volumeMounts: [
      { name: IDENTITY_VOLUME, mountPath: IDENTITY_DIR },
      { name: TOKEN_VOLUME, mountPath: TOKEN_DIR },
    ],
  };
}

/** A native sidecar is waited for by its startup probe, another by a hook: the kubelet starts containers one by one. */
function lifecycle({ isNative, isAwaited, adminPort, waitBeforeExitSeconds }: ContainerChoices): Container {
  const postStart = { exec: { command: [AWAIT, "--timeout=2m", `--port=${adminPort}`] } };
  const preStop = { sleep: { seconds: waitBeforeExitSeconds } };
  const hooks = {
    ...(!isNative && isAwaited ? { postStart } : {}),
    ...(waitBeforeExitSeconds > 0 ? { preStop } : {}),
  };
  return Object.keys(hooks).length === 0 ? {} : { lifecycle: hooks };
}

/** The redirection. It needs one capability, and nothing else that "restricted" forbids. */
export function initContainer(
  choices: ContainerChoices,
  { args, settings }: { readonly args: readonly string[]; readonly settings: InjectorSettings },
): Container {
  const { proxyInit } = settings;
  const { xtMountPath, privileged, runAsRoot } = proxyInit;
  return {
    name: INIT_CONTAINER,
    image: choices.initImage,
    imagePullPolicy: choices.pullPolicy,
    args: ["init", ...args],
    ...(choices.resources === undefined ? {} : { resources: choices.resources }),
    securityContext: {
      ...RESTRICTED,
      allowPrivilegeEscalation: privileged,
      privileged,
      capabilities: { ...RESTRICTED.capabilities, add: ["NET_ADMIN"] },
      runAsNonRoot: !runAsRoot,
      runAsUser: runAsRoot ? 0 : proxyInit.runAsUser,
      runAsGroup: runAsRoot ? 0 : proxyInit.runAsGroup,
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [{ name: xtMountPath.name, mountPath: xtMountPath.mountPath }],
  };
}

/** Where a CNI plugin redirects: proof that it did, before anything else runs in the pod. */
export function validatorContainer(choices: ContainerChoices, settings: InjectorSettings): Container {
  const { networkValidator, proxyInit, disableIPv6 } = settings;
  const listen = `${disableIPv6 ? "0.0.0.0" : "[::]"}:${choices.outboundPort}`;
  const connect = disableIPv6 ? "1.1.1.1:20001" : "1.1.1.1:20001,[fd00::1]:20001";
  return {
    name: VALIDATOR_CONTAINER,
    image: choices.initImage,
    imagePullPolicy: choices.pullPolicy,
    args: [
      "network-validator",
      "--log-format",
      networkValidator.logFormat,
      "--log-level",
      networkValidator.logLevel,
      "--connect-addr",
      networkValidator.connectAddr === "" ? connect : networkValidator.connectAddr,
      "--listen-addr",
      networkValidator.listenAddr === "" ? listen : networkValidator.listenAddr,
      "--timeout",
      networkValidator.timeout,
    ],
    ...(choices.resources === undefined ? {} : { resources: choices.resources }),
    ...(networkValidator.enableSecurityContext
      ? {
          securityContext: {
            ...RESTRICTED,
            runAsUser: proxyInit.runAsUser,
            runAsGroup: proxyInit.runAsGroup,
          },
        }
      : {}),
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}

/** A container of tools beside the app. Some environments want probes of every container; these cannot fail. */
export function debugContainer(image: string, pullPolicy: string): Container {
  const always = { exec: { command: ["true"] } };
  return {
    name: DEBUG_CONTAINER,
    image,
    imagePullPolicy: pullPolicy,
    livenessProbe: always,
    readinessProbe: always,
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}

/** The volumes of the containers above. */
export function volumes(settings: InjectorSettings): readonly Container[] {
  const token = { audience: TOKEN_AUDIENCE, expirationSeconds: TOKEN_SECONDS, path: TOKEN_VOLUME };
  return [
    { name: IDENTITY_VOLUME, emptyDir: { medium: "Memory" } },
    { name: TOKEN_VOLUME, projected: { sources: [{ serviceAccountToken: token }] } },
    ...(settings.cniEnabled ? [] : [{ name: settings.proxyInit.xtMountPath.name, emptyDir: {} }]),
  ];
}
