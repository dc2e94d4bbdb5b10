/** Who may do what: servers, routes and authorizations, edited while connections are open. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { Address } from "../../pair/pair.ts";
import { until, type TestMesh } from "../mesh.ts";
import {
  allow,
  authenticated,
  deny,
  grpcRoute,
  httpRoute,
  identity,
  mtls,
  network,
  networks,
  ofGrpcRoute,
  SERVERS,
} from "../policy-objects.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, head, Wire } from "../wire.ts";
import { call, session } from "./streams.ts";

const PERMISSION_DENIED = "7";

/** What the policy tests run against. Callers: `alice-0` and `bob-0` meshed, `outside-0` not. */
export interface PolicyWorld {
  readonly mesh: TestMesh;
  /** Pod of the guarded server. */
  readonly server: string;
  /** Its label `app`. */
  readonly app: string;
  /** Through the service for meshed callers, to the pod for others. */
  readonly to: (caller: string, port: number) => Address;
  /** Likewise, to pods with an annotated default policy. */
  readonly toDenied: (caller: string, port: number) => Address;
  readonly toAuthenticated: (caller: string, port: number) => Address;
}

const CALLERS = ["alice-0", "bob-0", "outside-0"] as const;

/** What the guarded server's proxy allowed alice, and denied bob and plain callers. */
async function counts({ mesh, server }: PolicyWorld): Promise<readonly number[]> {
  const of = 'srv_name="guarded"';
  return [
    await mesh.sum(server, "inbound_http_authz_allow_total", of, `client_id="${identity("alice")}"`),
    await mesh.sum(server, "inbound_http_authz_deny_total", of, `client_id="${identity("bob")}"`),
    await mesh.sum(server, "inbound_http_authz_deny_total", of, 'tls="no_identity"'),
  ];
}

export function policy(world: () => PolicyWorld): void {
  const server = (name: string, port: number, proxyProtocol: string): object =>
    deny(name, { app: world().app, port, proxyProtocol });
  const statuses = async (port: number, path = "/", method = "GET"): Promise<readonly number[]> => {
    const asked = CALLERS.map((caller) =>
      fetchOnce(world().mesh.place(caller), world().to(caller, port), { path, method }),
    );
    return (await Promise.all(asked)).map(({ status }) => status);
  };
  const come = (expected: readonly number[], path?: string, method?: string): Promise<true> =>
    until(`${path ?? "/"} is answered ${expected.join(", ")}`, async () => {
      assert.deepEqual(await statuses(AppPort.guarded, path, method), expected);
      return true;
    });
  const grpcStatus = async (caller: string, method: string): Promise<string> => {
    const client = await session(world().mesh.place(caller), world().to(caller, AppPort.guardedH2c));
    try {
      return (await call(client, method, ["1"])).status;
    } finally {
      client.destroy();
    }
  };

  describe("inbound policy", () => {
    after(() => world().mesh.withdraw("policy"));

    test("without a policy everybody is served", async () => {
      await come([200, 200, 200]);
    });

    test("a Server that denies refuses everybody with 403, on connections that are open already, too", async () => {
      const { mesh, to } = world();
      const wire = await Wire.to(mesh.place("alice-0"), to("alice-0", AppPort.guarded));
      const ask = async (): Promise<number> => {
        wire.write(head("GET", "/", { Host: "guarded" }));
        const { status, headers } = await wire.response();
        assert.equal(headers.has("l5d-proxy-error"), status !== 200);
        return status;
      };
      assert.equal(await ask(), 200);
      await mesh.apply("policy", [server("guarded", AppPort.guarded, "HTTP/1")]);
      await until("the open connection is refused", async () => (await ask()) === 403);
      assert.deepEqual(await statuses(AppPort.guarded), [403, 403, 403]);
      await mesh.apply("policy", [
        server("guarded", AppPort.guarded, "HTTP/1"),
        authenticated("only-alice", ["alice"]),
        allow({ kind: "Server", name: "guarded" }, mtls("only-alice")),
      ]);
      await until("the open connection is served again", async () => (await ask()) === 200);
      wire.close();
    });

    test("an authorization of one identity admits it and nobody else, and both are counted", async () => {
      await come([200, 403, 403]);
      const before = await counts(world());
      assert.deepEqual(await statuses(AppPort.guarded), [200, 403, 403]);
      const after = await counts(world());
      assert.deepEqual(
        after.map((value, index) => value - (before[index] ?? 0)),
        [1, 1, 1],
      );
    });

    test("authorizations of routes hold for their path and method, and what no route names is not found", async () => {
      await world().mesh.apply("policy", [
        server("guarded", AppPort.guarded, "HTTP/1"),
        authenticated("only-alice", ["alice"]),
        networks("everywhere", ["0.0.0.0/0", "::/0"]),
        httpRoute("public", "guarded", [{ path: { type: "PathPrefix", value: "/public" }, method: "GET" }]),
        httpRoute("orders", "guarded", [{ path: { type: "Exact", value: "/orders" } }]),
        allow({ kind: "HTTPRoute", name: "public" }, network("everywhere")),
        allow({ kind: "HTTPRoute", name: "orders" }, mtls("only-alice")),
      ]);
      await come([200, 200, 200], "/public/page");
      await come([200, 403, 403], "/orders");
      await come([404, 404, 404], "/orders/1");
      await come([404, 404, 404], "/public/page", "POST");
    });

    test("gRPC methods are authorized one by one", async () => {
      await world().mesh.apply("policy", [
        server("streams", AppPort.guardedH2c, "gRPC"),
        authenticated("only-alice", ["alice"]),
        authenticated("both", ["alice", "bob"]),
        grpcRoute("read", "streams", "ServerStream"),
        grpcRoute("write", "streams", "ClientStream"),
        allow(ofGrpcRoute("read"), mtls("both")),
        allow(ofGrpcRoute("write"), mtls("only-alice")),
      ]);
      await until(
        "bob may not write",
        async () => (await grpcStatus("bob-0", "ClientStream")) === PERMISSION_DENIED,
      );
      assert.equal(await grpcStatus("bob-0", "ServerStream"), "0");
      assert.equal(await grpcStatus("alice-0", "ServerStream"), "0");
      assert.equal(await grpcStatus("alice-0", "ClientStream"), "0");
      assert.notEqual(await grpcStatus("alice-0", "Unary"), "0");
    });

    test("an authorization of the namespace holds for all its servers", async () => {
      const { mesh } = world();
      await mesh.apply("policy", [
        server("guarded", AppPort.guarded, "HTTP/1"),
        authenticated("only-bob", ["bob"]),
        allow({ kind: "Namespace", name: SERVERS }, mtls("only-bob")),
      ]);
      await come([403, 200, 403]);
    });

    test("an authorization of a network admits those addresses, meshed or not", async () => {
      const { mesh } = world();
      const cidrs = [`${await mesh.ip("bob-0")}/32`, `${await mesh.ip("outside-0")}/32`];
      await mesh.apply("policy", [
        server("guarded", AppPort.guarded, "HTTP/1"),
        networks("two", cidrs),
        allow({ kind: "Server", name: "guarded" }, network("two")),
      ]);
      await come([403, 200, 200]);
    });

    test("what is no HTTP does not slip past the routes of a port, silent or not", async () => {
      const { mesh, to } = world();
      await mesh.apply("policy", [
        server("greeter", AppPort.greeter, "unknown"),
        authenticated("both", ["alice", "bob"]),
        networks("everywhere", ["0.0.0.0/0", "::/0"]),
        httpRoute("greeter", "greeter", [{ path: { type: "PathPrefix", value: "/" } }]),
        allow({ kind: "HTTPRoute", name: "greeter" }, network("everywhere")),
      ]);
      const heard = async (caller: string, said: string): Promise<string> => {
        const wire = await Wire.to(mesh.place(caller), to(caller, AppPort.greeter));
        if (said !== "") wire.write(said);
        const bytes = await wire.ended();
        wire.close();
        return bytes.toString("latin1");
      };
      await until("the policy holds", async () => (await heard("outside-0", "no HTTP\r\n")) === "");
      const all = await Promise.all([
        heard("outside-0", ""),
        heard("outside-0", "\0\x01\x02"),
        heard("alice-0", "SSH-2.0-x\r\n"),
        heard("alice-0", "\0\x01\x02"),
      ]);
      assert.deepEqual(all, ["", "", "", ""]);
    });

    test("config.linkerd.io/default-inbound-policy holds where no Server does", async () => {
      const { mesh, toDenied, toAuthenticated } = world();
      const ask = async (to: PolicyWorld["toDenied"]): Promise<readonly number[]> =>
        Promise.all(
          CALLERS.map(
            async (caller) => (await fetchOnce(mesh.place(caller), to(caller, AppPort.http))).status,
          ),
        );
      assert.deepEqual(await ask(toDenied), [403, 403, 403]);
      assert.deepEqual(await ask(toAuthenticated), [200, 200, 403]);
      for (const caller of ["alice-0", "outside-0"]) {
        const wire = await Wire.to(mesh.place(caller), toDenied(caller, AppPort.opaque));
        assert.equal((await wire.ended()).length, 0, "a denied connection heard the application");
      }
    });
  });
}
