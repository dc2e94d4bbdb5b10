/** An authority outside the mesh, as OpenSSL makes one: roots, and issuers below them. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { KubeObject } from "../kubernetes/world.ts";

const run = promisify(execFile);
const OPENSSL_MS_MAX = 60_000;

/** A certificate and its key in PEM. */
export interface Credential {
  readonly name: string;
  readonly certificate: string;
  readonly key: string;
}

const EXTENSIONS = [
  "basicConstraints=critical,CA:TRUE",
  "keyUsage=critical,keyCertSign,cRLSign",
  "subjectKeyIdentifier=hash",
];

async function openssl(dir: string, ...words: readonly string[]): Promise<void> {
  await run("openssl", words, { cwd: dir, timeout: OPENSSL_MS_MAX });
}

async function read(dir: string, name: string): Promise<Credential> {
  const [certificate, key] = await Promise.all([
    readFile(join(dir, `${name}.crt`), "utf8"),
    readFile(join(dir, `${name}.key`), "utf8"),
  ]);
  return { name, certificate, key };
}

async function makeKey(dir: string, name: string): Promise<void> {
  await openssl(
    dir,
    "genpkey",
    "-algorithm",
    "EC",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-out",
    `${name}.key`,
  );
}

/** Makes a root. */
export async function makeRoot(dir: string, name: string): Promise<Credential> {
  await makeKey(dir, name);
  const subject = ["-subj", `/CN=${name}`, "-days", "30", "-key", `${name}.key`, "-out", `${name}.crt`];
  await openssl(
    dir,
    "req",
    "-x509",
    ...subject,
    ...EXTENSIONS.slice(0, 2).flatMap((one) => ["-addext", one]),
  );
  return read(dir, name);
}

/** Makes an issuer below a root of the same folder. */
export async function makeIssuer(dir: string, name: string, root: Credential): Promise<Credential> {
  await makeKey(dir, name);
  await openssl(
    dir,
    "req",
    "-new",
    "-key",
    `${name}.key`,
    "-subj",
    "/CN=identity.linkerd.cluster.local",
    "-out",
    `${name}.csr`,
  );
  const extensions = [...EXTENSIONS, "authorityKeyIdentifier=keyid"].join("\n");
  await writeFile(join(dir, `${name}.ext`), extensions);
  const below = ["-CA", `${root.name}.crt`, "-CAkey", `${root.name}.key`, "-CAcreateserial", "-days", "10"];
  await openssl(
    dir,
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    ...below,
    "-extfile",
    `${name}.ext`,
    "-out",
    `${name}.crt`,
  );
  return read(dir, name);
}

function encoded(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

/** The issuer's Secret as cert-manager writes it. */
export function issuerSecret(issuer: Credential, root: Credential): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: { name: "linkerd-identity-issuer", namespace: "linkerd" },
    data: {
      "tls.crt": encoded(issuer.certificate),
      "tls.key": encoded(issuer.key),
      "ca.crt": encoded(root.certificate),
    },
  };
}

/** The bundle as trust-manager writes it. */
export function trustRoots(...roots: readonly Credential[]): KubeObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "linkerd-identity-trust-roots", namespace: "linkerd" },
    data: { "ca-bundle.crt": roots.map(({ certificate }) => certificate).join("") },
  };
}
