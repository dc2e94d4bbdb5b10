import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, parseConfig } from "./config.ts";

test("defaults are those of the peer, flags come before the environment", () => {
  const config = parseConfig(["--manifests", "/a", "--manifests=/b", "--trust-domain", "example.org"], {
    HAUBERK_TRUST_DOMAIN: "ignored",
    HAUBERK_CLUSTER_DOMAIN: "cluster.example",
  });
  assert.deepEqual(config.source, { type: "manifests", dirs: ["/a", "/b"] });
  assert.equal(config.settings.trustDomain, "example.org");
  assert.equal(config.settings.clusterDomain, "cluster.example");
  assert.equal(config.settings.controlPlaneNamespace, "linkerd");
  assert.deepEqual(config.destinationListen, { host: "0.0.0.0", port: 8086 });
  assert.deepEqual(parseConfig(["--manifests", "/a", "--admin-listen", "[::1]:0"], {}).adminListen, {
    host: "::1",
    port: 0,
  });
  assert.equal(config.identity, undefined);
});

test("what is not understood is named, and nothing starts", () => {
  const rows: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--manifests/],
    [["--manifests", "/a", "--nope", "x"], /--nope/],
    [["--manifests", "/a", "stray"], /stray/],
    [["--manifests", "/a", "--policy-listen", "8090"], /--policy-listen/],
    [["--manifests", "/a", "--policy-listen", "h:99999"], /--policy-listen/],
    [["--manifests", "/a", "--cluster-networks", "10.0.0.0/8,x"], /--cluster-networks: "x"/],
    [["--manifests", "/a", "--default-inbound-policy", "open"], /--default-inbound-policy/],
    [["--manifests", "/a", "--trust-domain", "A b"], /--trust-domain/],
    [["--manifests", "/a", "--issuer-dir", "/i"], /--join-token-key/],
    [["--manifests", "/a", "--kubeconfig", "/k"], /--kubeconfig: needs a role/],
  ];
  for (const [args, message] of rows) {
    assert.throws(
      () => parseConfig(args, {}),
      (error) => error instanceof ConfigError && message.test(error.message),
      args.join(" "),
    );
  }
});

test("a role reads the cluster and nothing else, and signs leases with the name of its pod", () => {
  assert.deepEqual(parseConfig(["--context", "c"], { HOSTNAME: "linkerd-destination-0" }, "role").source, {
    type: "cluster",
    connect: { kubeconfig: undefined, context: "c", accountDir: undefined },
    holder: "linkerd-destination-0",
  });
  assert.throws(() => parseConfig(["--manifests", "/a"], {}, "role"), /reads the cluster/);
});
