/** Who may do what in a new cluster: its authorities, certificates and kubeconfigs, written once. */
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Api } from "./api.ts";
import { makeAuthority, makeClient, makeServer, type Credential, type Subject } from "./certificates.ts";
import { pathsOf, type Place } from "./place.ts";
import { kubeconfig } from "./settings.ts";

const ADMIN = "admin";
/** The group that may do everything, whatever the rules say. */
const MASTERS = "system:masters";

/** Users by the name of their kubeconfig. */
function usersOf(place: Place): Readonly<Record<string, Subject>> {
  return {
    [ADMIN]: { user: ADMIN, group: MASTERS },
    controllers: { user: "system:kube-controller-manager" },
    scheduler: { user: "system:kube-scheduler" },
    proxy: { user: "system:kube-proxy" },
    dns: { user: "hauberk:names" },
    ...Object.fromEntries(
      place.nodes.map(({ name }) => [name, { user: `system:node:${name}`, group: "system:nodes" }]),
    ),
  };
}

/** Writes all of them, unless they are there. */
export function writeCredentials(place: Place, nowMs: number): void {
  const { certificates, settings, admin } = pathsOf(place);
  if (existsSync(admin)) return;
  mkdirSync(certificates, { recursive: true, mode: 0o700 });
  mkdirSync(settings, { recursive: true });
  const put = (name: string, { certificate, key }: Credential): void => {
    writeFileSync(join(certificates, `${name}.crt`), certificate);
    writeFileSync(join(certificates, `${name}.key`), key, { mode: 0o600 });
  };
  const authority = makeAuthority("kubernetes", nowMs);
  const front = makeAuthority("front-proxy", nowMs);
  put("authority", authority.credential);
  put("front", front.credential);
  put("front-client", makeClient(front, { user: "front-proxy-client" }, nowMs));
  put("kubelet-client", makeClient(authority, { user: "apiserver", group: MASTERS }, nowMs));
  const api = "kubernetes.default.svc";
  const names = ["kubernetes", "kubernetes.default", api, `${api}.${place.domain}`, "localhost", "127.0.0.1"];
  const addresses = [`${place.servicePrefix}.0.1`, place.first.address];
  put("apiserver", makeServer(authority, { user: "kube-apiserver", names: [...names, ...addresses], nowMs }));
  for (const { name, address } of place.nodes)
    put(`${name}-server`, makeServer(authority, { user: name, names: [name, address], nowMs }));
  writeAccountKeys(certificates);
  for (const [name, subject] of Object.entries(usersOf(place))) {
    const credential = makeClient(authority, subject, nowMs);
    if (name === ADMIN) put(ADMIN, credential);
    const text = kubeconfig(place, {
      user: name,
      authority: authority.credential.certificate,
      ...credential,
    });
    writeFileSync(name === ADMIN ? admin : join(settings, `${name}.kubeconfig`), text, { mode: 0o600 });
  }
}

/** The pair by which tokens of service accounts are signed and read. */
function writeAccountKeys(certificates: string): void {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(join(certificates, "accounts.key"), privateKey.export({ format: "pem", type: "pkcs8" }), {
    mode: 0o600,
  });
  writeFileSync(join(certificates, "accounts.pub"), publicKey.export({ format: "pem", type: "spki" }));
}

/** A client of the cluster's API server with its administrator's credentials. */
export function adminApi(place: Place): Api {
  const { certificates } = pathsOf(place);
  const read = (name: string): string => readFileSync(join(certificates, name), "utf8");
  return new Api(place.api, read("authority.crt"), {
    certificate: read("admin.crt"),
    key: read("admin.key"),
  });
}
