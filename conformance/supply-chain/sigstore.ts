/** A private Sigstore of the real services: Fulcio, Rekor v2 and a timestamp authority, with keys of its own. */
import type { ChildProcess } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { certificateLog, serve, TokenIssuer } from "./issuers.ts";
import { freePort, must, program, start, stop } from "./programs.ts";

const START_MS_MAX = 60_000;
const LOOK_MS = 200;
const PASSWORD = "conformance";
const SINCE = "2026-01-01T00:00:00Z";
const WORKLOADS = "https://build.conformance.test";
const LOG_NAME = "log.conformance.test";

/** A Sigstore that runs. */
export interface Sigstore {
  readonly issuer: TokenIssuer;
  /** As cosign takes them. */
  readonly signingConfig: string;
  readonly trustedRoot: string;
  /** Folder of the log's tiles. */
  readonly tiles: string;
  /** What a certificate says of a workload. */
  identityOf(workload: string): string;
  close(): Promise<void>;
}

const openssl = (dir: string, ...args: readonly string[]) => must("openssl", args, { cwd: dir });

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
  await openssl(dir, "pkey", "-in", `${name}.key`, "-pubout", "-out", `${name}.pub`);
}

async function lock(dir: string, name: string): Promise<void> {
  const args = ["pkcs8", "-topk8", "-in", `${name}.key`, "-v2", "aes-256-cbc"];
  await openssl(dir, ...args, "-passout", `pass:${PASSWORD}`, "-out", `${name}.locked.key`);
}

async function makeRoot(dir: string, name: string, ...extensions: readonly string[]): Promise<void> {
  const more = ["keyUsage=critical,keyCertSign,cRLSign", ...extensions].flatMap((one) => ["-addext", one]);
  const args = [
    "req",
    "-x509",
    "-new",
    "-key",
    `${name}.key`,
    "-days",
    "30",
    "-subj",
    `/O=conformance/CN=${name}`,
  ];
  await openssl(dir, ...args, ...more, "-out", `${name}.crt`);
}

/** Keys and certificates of all services, in `dir`. */
async function makeKeys(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const name of ["authority", "log", "certificates", "clock-root", "clock"]) await makeKey(dir, name);
  await makeRoot(
    dir,
    "authority",
    "basicConstraints=critical,CA:TRUE,pathlen:0",
    "extendedKeyUsage=codeSigning",
  );
  await makeRoot(dir, "clock-root", "basicConstraints=critical,CA:TRUE");
  const extensions = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "extendedKeyUsage=critical,timeStamping",
    "subjectKeyIdentifier=hash",
    "authorityKeyIdentifier=keyid",
  ];
  await writeFile(join(dir, "clock.ext"), `${extensions.join("\n")}\n`);
  await openssl(
    dir,
    "req",
    "-new",
    "-key",
    "clock.key",
    "-subj",
    "/O=conformance/CN=clock",
    "-out",
    "clock.csr",
  );
  const signed = ["x509", "-req", "-in", "clock.csr", "-CA", "clock-root.crt", "-CAkey", "clock-root.key"];
  await openssl(
    dir,
    ...signed,
    "-CAcreateserial",
    "-days",
    "30",
    "-extfile",
    "clock.ext",
    "-out",
    "clock.crt",
  );
  const chain = [await readFile(join(dir, "clock.crt")), await readFile(join(dir, "clock-root.crt"))];
  await writeFile(join(dir, "clock-chain.pem"), Buffer.concat(chain));
  await lock(dir, "authority");
  await lock(dir, "clock");
}

/** Fulcio's configuration: workloads of one issuer, named by a claim. YAML, since its JSON has other names. */
function authorityConfig(issuer: string): string {
  const platform = {
    "default-template-values": { url: WORKLOADS },
    "extension-templates": { "build-signer-uri": "{{ .url }}/{{ .workload }}" },
    "subject-alternative-name-template": "{{ .url }}/{{ .workload }}",
  };
  const trusted = {
    "issuer-url": issuer,
    "client-id": "sigstore",
    type: "ci-provider",
    "ci-provider": "own",
  };
  return stringify({ "oidc-issuers": { [issuer]: trusted }, "ci-issuer-metadata": { own: platform } });
}

/** @throws if one of the services ends first; the timestamp authority does where its metrics' fixed port, 2112, is taken. */
async function answered(url: string, children: readonly ChildProcess[]): Promise<void> {
  const late = performance.now() + START_MS_MAX;
  for (;;) {
    const isThere = await fetch(url, { signal: AbortSignal.timeout(LOOK_MS * 10) }).then(
      () => true,
      () => false,
    );
    if (isThere) return;
    if (performance.now() > late || children.some(({ exitCode }) => exitCode !== null))
      throw new Error(`${url} does not answer`);
    await sleep(LOOK_MS);
  }
}

interface Ports {
  readonly issuer: number;
  readonly certificates: number;
  readonly authority: number;
  readonly log: number;
  readonly clock: number;
}

const on = (port: number) => ["--host", "127.0.0.1", "--port", String(port)];

async function startServices(dir: string, keys: string, ports: Ports): Promise<readonly ChildProcess[]> {
  const key = (name: string) => join(keys, name);
  const [grpc, metrics, logGrpc, logMetrics] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const config = join(dir, "fulcio.yaml");
  await writeFile(config, authorityConfig(`http://127.0.0.1:${ports.issuer}`));
  // prettier-ignore
  const authority = ["serve", "--ca", "fileca", "--fileca-cert", key("authority.crt"), "--fileca-key", key("authority.locked.key"),
    "--fileca-key-passwd", PASSWORD, "--fileca-watch=false", "--ct-log-url", `http://127.0.0.1:${ports.certificates}/ct`,
    "--ct-log-public-key-path", key("certificates.pub"), "--config-path", config, ...on(ports.authority),
    "--grpc-host", "127.0.0.1", "--grpc-port", String(grpc), "--metrics-port", String(metrics),
    "--legacy-unix-domain-socket", join(dir, "fulcio.sock")];
  // prettier-ignore
  const log = ["serve", "--http-address", "127.0.0.1", "--http-port", String(ports.log), "--grpc-address", "127.0.0.1",
    "--grpc-port", String(logGrpc), "--http-metrics-port", String(logMetrics), "--hostname", LOG_NAME,
    "--storage-dir", join(dir, "log"), "--signer-filepath", key("log.key"), "--checkpoint-interval", "1s", "--batch-max-age", "100ms"];
  // prettier-ignore
  const clock = ["serve", ...on(ports.clock), "--timestamp-signer", "file", "--file-signer-key-path", key("clock.locked.key"),
    "--file-signer-passwd", PASSWORD, "--certificate-chain-path", key("clock-chain.pem"), "--disable-ntp-monitoring"];
  await mkdir(join(dir, "log"), { recursive: true });
  const services = { fulcio: authority, rekor: log, "timestamp-server": clock };
  return Promise.all(
    Object.entries(services).map(([name, args]) =>
      start(program(name), args, { log: join(dir, `${name}.txt`) }),
    ),
  );
}

const url = (port: number) => `http://127.0.0.1:${port}`;

/** `trusted_root.json` and `signing_config.v0.2.json`, as cosign itself writes them. */
async function describe(dir: string, keys: string, ports: Ports) {
  const clockUrl = `${url(ports.clock)}/api/v1/timestamp`;
  const trustedRoot = join(dir, "trusted_root.json");
  const since = `start-time=${SINCE}`;
  // prettier-ignore
  await must(program("cosign"), ["trusted-root", "create", "--out", trustedRoot,
    `--fulcio=url=${url(ports.authority)},certificate-chain=${join(keys, "authority.crt")}`,
    `--ctfe=url=${url(ports.certificates)}/ct,public-key=${join(keys, "certificates.pub")},${since}`,
    `--rekor=url=https://${LOG_NAME},public-key=${join(keys, "log.pub")},${since},origin=${LOG_NAME}`,
    `--tsa=url=${clockUrl},certificate-chain=${join(keys, "clock-chain.pem")}`]);
  const signingConfig = join(dir, "signing_config.v0.2.json");
  const operator = `${since},operator=conformance`;
  // prettier-ignore
  await must(program("cosign"), ["signing-config", "create", "--out", signingConfig,
    `--fulcio=url=${url(ports.authority)},api-version=1,${operator}`,
    `--rekor=url=${url(ports.log)},api-version=2,${operator}`, "--rekor-config=ANY",
    `--tsa=url=${clockUrl},api-version=1,${operator}`, "--tsa-config=ANY",
    `--oidc-provider=url=${url(ports.issuer)},api-version=1,${operator}`]);
  return { trustedRoot, signingConfig };
}

async function closeAll(servers: readonly Server[], children: readonly ChildProcess[]): Promise<void> {
  for (const child of children) await stop(child);
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
}

/** Starts one in `dir`. */
export async function startSigstore(dir: string): Promise<Sigstore> {
  const keys = join(dir, "keys");
  await makeKeys(keys);
  const [issuerPort, certificates, authority, log, clock] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ]);
  const ports = { issuer: issuerPort, certificates, authority, log, clock };
  const issuer = new TokenIssuer(ports.issuer);
  const servers = [
    await serve(ports.issuer, (request) => issuer.answer(request)),
    await serve(
      ports.certificates,
      certificateLog(createPrivateKey(await readFile(join(keys, "certificates.key")))),
    ),
  ];
  let children: readonly ChildProcess[] = [];
  try {
    const described = await describe(dir, keys, ports);
    children = await startServices(dir, keys, ports);
    for (const port of [authority, log, clock]) await answered(`http://127.0.0.1:${port}/`, children);
    return {
      ...described,
      issuer,
      tiles: join(dir, "log"),
      identityOf: (workload) => `${WORKLOADS}/${workload}`,
      close: () => closeAll(servers, children),
    };
  } catch (error) {
    await closeAll(servers, children);
    throw error;
  }
}
