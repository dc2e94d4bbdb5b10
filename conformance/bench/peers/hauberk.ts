/**
 * Our own pair, as it is shipped: a control plane beside each proxy, which gives it discovery, policy and a certificate; metrics
 * and access control are on, as they always are.
 */

import {
  createPrivateKey,
  createPublicKey,
  createHash,
  generateKeyPairSync,
  randomUUID,
  sign,
} from "node:crypto";
import { join } from "node:path";
import { Address, Takes } from "../peer.ts";
import type { Launch, Peer, Place } from "../peer.ts";
import type { Role } from "../certificates.ts";

const NAMESPACE = "bench";
const CONTROL_PLANE_NAMESPACE = "linkerd";
const CLUSTER_NETWORKS = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16";
/** Ports of the control plane: the usual ones are the backend's. */
const PORTS = { identity: 8180, destination: 8186, policy: 8190, admin: 9990 } as const;
const ADMIN_PORT = 4191;
const TOKEN_LIFE_S = 6 * 3600;

/** What both ends are called. */
const ACCOUNT = { outbound: "client", inbound: "server" } as const satisfies Record<Role, string>;
const POD_IP = { outbound: Address.client, inbound: Address.server } as const satisfies Record<Role, string>;
const POD_UID = { outbound: randomUUID(), inbound: randomUUID() } as const satisfies Record<Role, string>;

/** Our proxy at `binary`, with the control plane started by `controller`. */
export function hauberk(binary: string, version: string, controller: readonly [string, ...string[]]): Peer {
  const joinKey = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" });
  return {
    name: "hauberk",
    version,
    scenarios: [...Takes.everything, "policy"],
    launch: (place) => launch(binary, joinKey, place),
    beside: (place) => controlPlane(controller, joinKey, place),
  };
}

function launch(binary: string, joinKey: string, place: Place): Launch {
  const { role, folder, certified, authority } = place;
  const token = join(folder, "token");
  const context = JSON.stringify({ ns: NAMESPACE, pod: ACCOUNT[role], nodeName: "bench" });
  const settings: Readonly<Record<string, string>> = {
    LOG: "warn",
    CORES: "1",
    OUTBOUND_LISTEN_ADDRS: `127.0.0.1:${Address.outboundPort}`,
    INBOUND_LISTEN_ADDR: `0.0.0.0:${Address.inboundPort}`,
    ADMIN_LISTEN_ADDR: `0.0.0.0:${ADMIN_PORT}`,
    CONTROL_LISTEN_ADDR: "0.0.0.0:4190",
    // A control plane on the loopback is asked without TLS.
    DESTINATION_SVC_ADDR: `127.0.0.1:${PORTS.destination}`,
    POLICY_SVC_ADDR: `127.0.0.1:${PORTS.policy}`,
    IDENTITY_SVC_ADDR: `127.0.0.1:${PORTS.identity}`,
    DESTINATION_CONTEXT: context,
    POLICY_WORKLOAD: JSON.stringify({ ns: NAMESPACE, pod: ACCOUNT[role] }),
    DESTINATION_PROFILE_NETWORKS: CLUSTER_NETWORKS,
    DESTINATION_PROFILE_SUFFIXES: "svc.cluster.local.",
    POLICY_CLUSTER_NETWORKS: CLUSTER_NETWORKS,
    INBOUND_DEFAULT_POLICY: "all-unauthenticated",
    INBOUND_IPS: POD_IP[role],
    INBOUND_PORTS: role === "inbound" ? `${Address.httpPort},${Address.rawPort}` : "",
    IDENTITY_DIR: folder,
    IDENTITY_LOCAL_NAME: certified.identity,
    IDENTITY_TOKEN_FILE: token,
    IDENTITY_TRUST_ANCHORS: authority.anchorsPem,
  };
  return {
    command: [binary, "run"],
    env: Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [`LINKERD2_PROXY_${name}`, value]),
    ),
    files: { [token]: joinToken(joinKey, role) },
    ready: { port: ADMIN_PORT, path: "/ready" },
  };
}

function controlPlane(controller: readonly [string, ...string[]], joinKey: string, place: Place): Launch {
  const manifests = join(place.folder, "manifests");
  const key = join(place.folder, "join-token.key");
  const listen = Object.entries(PORTS).flatMap(([role, port]) => [`--${role}-listen`, `127.0.0.1:${port}`]);
  const identity = ["--issuer-dir", place.authority.issuerDir, "--join-token-key", key];
  return {
    command: [...controller, "--manifests", manifests, ...identity, ...listen],
    files: {
      [key]: joinKey,
      // JSON is YAML.
      [join(manifests, "bench.yaml")]: objects()
        .map((one) => JSON.stringify(one))
        .join("\n---\n"),
    },
    ready: { port: PORTS.admin, path: "/ready" },
  };
}

/** A join token as the identity service wants it: the claims of a bound service account token (KEP-1205). */
function joinToken(keyPem: string, role: Role): string {
  const key = createPrivateKey(keyPem);
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  const kid = createHash("sha256").update(spki).digest("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: "https://identity.hauberk.io",
    aud: ["identity.l5d.io"],
    sub: `system:serviceaccount:${NAMESPACE}:${ACCOUNT[role]}`,
    iat: now,
    nbf: now,
    exp: now + TOKEN_LIFE_S,
    jti: randomUUID(),
    "kubernetes.io": {
      namespace: NAMESPACE,
      pod: { name: ACCOUNT[role], uid: POD_UID[role] },
      serviceaccount: { name: ACCOUNT[role] },
    },
  };
  const signed = `${encode({ alg: "EdDSA", kid })}.${encode(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

/** The world that discovery and policy are about: two meshed pods and a service with an opaque port. */
function objects(): readonly object[] {
  const annotations = { "config.linkerd.io/opaque-ports": String(Address.rawPort) };
  const ports = [
    { name: "http", port: Address.httpPort, targetPort: Address.httpPort },
    { name: "raw", port: Address.rawPort, targetPort: Address.rawPort },
  ];
  const account = (name: string): object => ({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name, namespace: NAMESPACE },
  });
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } },
    account(ACCOUNT.outbound),
    account(ACCOUNT.inbound),
    pod("outbound", annotations),
    pod("inbound", annotations),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "echo", namespace: NAMESPACE, annotations },
      spec: {
        clusterIP: Address.cluster,
        clusterIPs: [Address.cluster],
        selector: { app: ACCOUNT.inbound },
        ports,
      },
    },
  ];
}

function pod(role: Role, annotations: Readonly<Record<string, string>>): object {
  const name = ACCOUNT[role];
  const containerPorts = role === "inbound" ? [Address.httpPort, Address.rawPort] : [];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: NAMESPACE,
      uid: POD_UID[role],
      labels: { app: name, "linkerd.io/control-plane-ns": CONTROL_PLANE_NAMESPACE },
      annotations,
    },
    spec: {
      nodeName: "bench",
      serviceAccountName: name,
      initContainers: [
        {
          name: "linkerd-proxy",
          restartPolicy: "Always",
          ports: [
            { name: "linkerd-proxy", containerPort: Address.inboundPort },
            { name: "linkerd-admin", containerPort: ADMIN_PORT },
          ],
          env: [{ name: "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", value: `0.0.0.0:${Address.inboundPort}` }],
        },
      ],
      containers: [
        {
          name: "app",
          command: ["hserve"],
          ports: containerPorts.map((containerPort) => ({ containerPort })),
        },
      ],
    },
    status: {
      phase: "Running",
      podIP: POD_IP[role],
      podIPs: [{ ip: POD_IP[role] }],
      conditions: [{ type: "Ready", status: "True" }],
      containerStatuses: [
        { name: "app", ready: true, restartCount: 0, started: true, state: { running: {} } },
      ],
    },
  };
}
