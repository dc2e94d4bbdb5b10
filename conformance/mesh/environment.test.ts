import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const BIN = process.env["HAUBERK_BIN_DIR"] ?? join(import.meta.dirname, "..", "..", "proxy", "target", "bin");
const RUN_MS_MAX = 10_000;

/** Without these nothing starts; with them only what a test spoils is wrong. */
const COMPLETE = {
  LINKERD2_PROXY_DESTINATION_SVC_ADDR: "127.0.0.1:1",
  LINKERD2_PROXY_DESTINATION_SVC_NAME:
    "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local",
  LINKERD2_PROXY_POLICY_SVC_ADDR: "127.0.0.1:1",
  LINKERD2_PROXY_POLICY_SVC_NAME: "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local",
  LINKERD2_PROXY_POLICY_WORKLOAD: '{"ns":"a","pod":"b"}',
  LINKERD2_PROXY_IDENTITY_DISABLED: "1",
};

interface Ended {
  readonly code: number | string | null | undefined;
  readonly words: string;
}

async function start(environment: Readonly<Record<string, string>>): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const options = { env: { ...COMPLETE, ...environment }, timeout: RUN_MS_MAX };
  execFile(join(BIN, "hauberk-proxy"), ["run"], options, (error, stdout, stderr) =>
    resolve({ code: error === null ? 0 : error.code, words: stdout + stderr }),
  );
  return promise;
}

const NONSENSE: Readonly<Record<string, string>> = {
  INBOUND_LISTEN_ADDR: "somewhere",
  OUTBOUND_LISTEN_ADDR: "127.0.0.1",
  ADMIN_LISTEN_ADDR: "0.0.0.0:99999",
  INBOUND_DETECT_TIMEOUT: "10",
  OUTBOUND_CONNECT_TIMEOUT: "-1s",
  INBOUND_DEFAULT_POLICY: "allow-all",
  INBOUND_PORTS: "80,http",
  INBOUND_IPS: "10.0.0",
  POLICY_CLUSTER_NETWORKS: "10.0.0.0/40",
  DESTINATION_SVC_ADDR: "nowhere",
  SHUTDOWN_GRACE_PERIOD: "soon",
  CORES: "0",
  LOG_FORMAT: "xml",
};

for (const [name, value] of Object.entries(NONSENSE))
  test(`LINKERD2_PROXY_${name}=${value} keeps the proxy from starting, and is named`, async () => {
    const { code, words } = await start({ [`LINKERD2_PROXY_${name}`]: value });
    assert.ok(typeof code === "number" && code !== 0, `ended with ${String(code)}: ${words}`);
    assert.match(words, new RegExp(`_${name}\\b`));
  });

test("every mistake is named, not only the first", async () => {
  const { words } = await start({
    LINKERD2_PROXY_CORES: "none",
    LINKERD2_PROXY_LOG_FORMAT: "xml",
    HAUBERK_PROXY_POST_QUANTUM: "perhaps",
  });
  for (const name of ["CORES", "LOG_FORMAT", "POST_QUANTUM"]) assert.match(words, new RegExp(name));
});

test("a setting of ours that does not exist keeps the proxy from starting", async () => {
  const { code, words } = await start({ HAUBERK_PROXY_NO_SUCH_THING: "1" });
  assert.ok(typeof code === "number" && code !== 0, words);
  assert.match(words, /NO_SUCH_THING/);
});
