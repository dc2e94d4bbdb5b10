/** Authorization beyond the client's identity, by the examples of `docs/guide/authorization.md`, applied as they stand. */
import assert from "node:assert/strict";
import { createPrivateKey, sign, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { z } from "zod";
import type { Address } from "../../pair/pair.ts";
import { until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, Wire, type Response } from "../wire.ts";
import { finished, session } from "./streams.ts";

const PAGE = join(import.meta.dirname, "..", "..", "..", "docs", "guide", "authorization.md");
const FILE = "authorization";
const WEB = "web.frontend.serviceaccount.identity.linkerd.cluster.local";
const OTHER = "other.frontend.serviceaccount.identity.linkerd.cluster.local";

/** The private half of the example key of RFC 7515 appendix A.3, which the page shows. */
const EXAMPLE_KEY = createPrivateKey({
  format: "jwk",
  key: {
    kty: "EC",
    crv: "P-256",
    x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    d: "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
  },
});

/** What the tests run against. Callers: `web-0` and `other-0` meshed, `outside-0` not; the server is `payments-0`. */
export interface AuthzWorld {
  readonly mesh: TestMesh;
  readonly to: (caller: string, port: number) => Address;
}

/** The YAML blocks below a heading of the page, as one manifest. */
export function example(heading: string): string {
  const page = readFileSync(PAGE, "utf8");
  const [, section] = page.split(`\n## ${heading}\n`);
  const blocks = [...(section?.split("\n## ")[0] ?? "").matchAll(/```yaml\n(.*?)```/gs)].map(
    ([, yaml]) => yaml,
  );
  assert.ok(blocks.length > 0, `the page has no example below ${heading}`);
  return blocks.join("---\n");
}

const CALLERS = ["web-0", "other-0", "outside-0"] as const;
const Echo = z.object({ headers: z.record(z.string(), z.unknown()) });

function encoded(value: object | Uint8Array): string {
  return Buffer.from(value instanceof Uint8Array ? value : JSON.stringify(value)).toString("base64url");
}

/** A token of the page's issuer that is good for all that the page asks, but for `changes`. */
function exampleToken(changes: object = {}, header: object = {}): string {
  return tokenBy(EXAMPLE_KEY, changes, header);
}

/** Likewise, by another key. */
export function tokenBy(key: KeyObject, changes: object, header: object): string {
  const claims = {
    iss: "https://issuer.example",
    aud: "payments",
    sub: "ann",
    exp: Math.floor(Date.now() / 1000) + 600,
    realm_access: { roles: ["clerk", "teller"] },
    tier: "gold",
    ...changes,
  };
  const signed = `${encoded({ alg: "ES256", kid: "example", ...header })}.${encoded(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${encoded(signature)}`;
}

function headersSeen(response: Response): Readonly<Record<string, unknown>> {
  return Echo.parse(JSON.parse(response.body.toString())).headers;
}

export function authz(world: () => AuthzWorld): void {
  const ask = (
    caller: string,
    request: {
      readonly path?: string;
      readonly method?: string;
      readonly headers?: Record<string, string>;
    } = {},
  ): Promise<Response> => fetchOnce(world().mesh.place(caller), world().to(caller, AppPort.http), request);
  const statuses = async (request: Parameters<typeof ask>[1] = {}): Promise<readonly number[]> =>
    (await Promise.all(CALLERS.map((caller) => ask(caller, request)))).map(({ status }) => status);
  const come = (expected: readonly number[], request: Parameters<typeof ask>[1] = {}): Promise<true> =>
    until(`${request.path ?? "/"} is answered ${expected.join(", ")}`, async () => {
      assert.deepEqual(await statuses(request), expected);
      return true;
    });
  const apply = (...headings: readonly string[]): Promise<void> =>
    world().mesh.applyYaml(FILE, headings.map(example).join("---\n"));
  const sum = (name: string, ...parts: readonly string[]): Promise<number> =>
    world().mesh.sum("payments-0", name, ...parts);

  const grpcStatus = async (
    caller: string,
    path: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<string> => {
    const { mesh, to } = world();
    const client = await session(mesh.place(caller), to(caller, AppPort.h2c));
    try {
      const stream = client.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        ...more,
      });
      stream.end();
      const { headers, trailers } = await finished(stream);
      return String(headers["grpc-status"] ?? trailers["grpc-status"]);
    } finally {
      client.destroy();
    }
  };
  const grpcStatuses = (path: string): Promise<readonly string[]> =>
    Promise.all(CALLERS.map((caller) => grpcStatus(caller, path)));
  const auditCounts = async (): Promise<readonly number[]> => [
    await sum("inbound_http_authz_allow_total", 'authz_name="audit"'),
    await sum("hauberk_inbound_http_authz_audit_total", `client_id="${OTHER}"`, 'reason="client"'),
    await sum("hauberk_inbound_http_authz_audit_total", `client_id="${WEB}"`),
    await sum("inbound_http_authz_deny_total", 'srv_name="payments"'),
  ];
  const expectCode = async (token: string | undefined, status: number, code: string): Promise<void> => {
    const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const response = await ask("web-0", { headers });
    assert.equal(response.status, status, code);
    assert.match(response.headers.get("l5d-proxy-error") ?? "", new RegExp(`: ${code}$`));
    assert.equal(response.headers.get("www-authenticate") !== null, status === 401, code);
  };

  const judged = (verdict: string, method = "GET"): Promise<Response> =>
    ask("web-0", { method, headers: { "x-verdict": verdict } });
  const often = async (path: string): Promise<number> => (await ask("web-0", { path })).status;

  const probed = (): Promise<number> =>
    sum("inbound_http_authz_allow_total", 'authz_name="probe"', 'srv_name="payments"');

  describe("authorization", () => {
    after(() => world().mesh.withdraw(FILE));

    test("a Server, one identity and a policy let one caller in and nobody else", async () => {
      await come([200, 200, 200]);
      await apply("One caller, and nobody else");
      await come([200, 403, 403]);
    });

    test("routes add their own policies to the Server's, and what no route names is not found", async () => {
      await apply("One caller, and nobody else", "Routes and gRPC methods");
      await come([200, 200, 403], { path: "/accounts/7" });
      await come([200, 200, 200], { path: "/accounts/health" });
      await come([404, 404, 404], { path: "/accounts/7", method: "POST" });
      await come([404, 404, 404], { path: "/else" });
      // One canonical form is judged and forwarded: no spelling of a path is another way in.
      await come([404, 404, 404], { path: "/accounts/../else" });
      await come([400, 400, 400], { path: "/accounts/..%2felse" });
      await come([200, 200, 200], { path: "/x/../accounts/%68ealth" });
    });

    test("gRPC methods have policies of their own; a method's goes before its service's", async () => {
      await until("the ledger is guarded", async () => {
        assert.deepEqual(await grpcStatuses("/ledger.v1.Ledger/Append"), ["0", "7", "7"]);
        return true;
      });
      assert.deepEqual(await grpcStatuses("/ledger.v1.Ledger/Read"), ["0", "0", "7"]);
      assert.deepEqual(await grpcStatuses("/ledger.v1.Other/Read"), ["5", "5", "5"]);
    });

    test("an audit admits what would be denied, and counts it by reason", async () => {
      await apply("Trying it out: audit");
      await come([200, 200, 200]);
      await until("the audit is in force", async () => {
        await statuses();
        return (await auditCounts())[1] !== 0;
      });
      const before = await auditCounts();
      assert.deepEqual(await statuses(), [200, 200, 200]);
      const after = await auditCounts();
      assert.deepEqual(
        after.map((value, at) => value - (before[at] ?? 0)),
        [2, 1, 0, 0],
      );
    });

    test("header conditions hold for every value, and only together with the identity", async () => {
      // Without the first example's policy, which admits web whatever its headers are.
      await world().mesh.applyYaml(FILE, `${serverOnly()}---\n${example("Headers")}`);
      const good = { "X-Tenant": "gold", "x-version": "v12" };
      await come([200, 403, 403], { headers: good });
      await come([403, 403, 403], { headers: { ...good, "x-tenant": "gold, platinum" } });
      await come([403, 403, 403], { headers: { ...good, "x-debug": "1" } });
      await come([403, 403, 403], { headers: { ...good, "x-version": "v12x" } });
      await come([403, 403, 403], { headers: { "x-version": "v12" } });
      // Named by Connection a header goes no further, so it does not count either.
      await come([403, 403, 403], { headers: { ...good, Connection: "x-tenant" } });
      assert.ok((await sum("hauberk_inbound_http_authz_denials_total", 'reason="header"')) > 0);
    });

    test("a token opens the door that its claims fit, and the application is told who it is", async () => {
      await world().mesh.applyYaml(FILE, `${serverOnly()}---\n${example("Tokens (JWT)")}`);
      await come([200, 403, 403], { headers: bearer(exampleToken()) });
      const seen = headersSeen(
        await ask("web-0", { headers: { ...bearer(exampleToken()), "X-User": "root", x_user: "root" } }),
      );
      assert.equal(seen["x-user"], "ann");
      assert.equal(seen["x_user"], undefined);
      assert.equal(seen["authorization"], undefined);
      const cached = await sum("hauberk_inbound_tokens_total", 'result="cached"');
      const token = exampleToken({ jti: "again" });
      const twice = [
        await ask("web-0", { headers: bearer(token) }),
        await ask("web-0", { headers: bearer(token) }),
      ];
      assert.deepEqual(
        twice.map(({ status }) => status),
        [200, 200],
      );
      assert.equal(await sum("hauberk_inbound_tokens_total", 'result="cached"'), cached + 1);
    });

    test("a missing or bad token is 401 with a challenge, claims that do not fit are 403", async () => {
      const now = Math.floor(Date.now() / 1000);
      await expectCode(undefined, 401, "token_missing");
      await expectCode("nonsense", 401, "token_malformed");
      await expectCode(exampleToken({}, { alg: "none" }), 401, "token_algorithm");
      await expectCode(exampleToken({}, { alg: "HS256" }), 401, "token_algorithm");
      await expectCode(exampleToken({}, { kid: "../../etc/passwd" }), 401, "token_key");
      await expectCode(`${exampleToken().slice(0, -10)}AAAAAAAAAA`, 401, "token_signature");
      await expectCode(exampleToken({ iss: "https://evil.example" }), 401, "token_issuer");
      await expectCode(exampleToken({ aud: "orders" }), 401, "token_audience");
      await expectCode(exampleToken({ exp: now - 31 }), 401, "token_expired");
      await expectCode(exampleToken({ nbf: now + 60 }), 401, "token_not_yet");
      await expectCode(exampleToken({ tier: "lead" }), 403, "token_claims");
      await expectCode(exampleToken({ realm_access: { roles: ["clerk"] } }), 403, "token_claims");
      assert.ok((await sum("hauberk_inbound_tokens_total", 'result="token_expired"')) > 0);
      assert.ok((await sum("hauberk_inbound_tokens_total", 'policy="prod/users"')) > 10);
    });

    test("a gRPC client without a good token is UNAUTHENTICATED, with other claims PERMISSION_DENIED", async () => {
      const ledger = serverOnly().replace("name: payments", "name: ledger").replace("8080", "8081");
      const users = example("Tokens (JWT)").replace(
        "kind: Server, name: payments",
        "kind: Server, name: ledger",
      );
      await world().mesh.applyYaml(FILE, `${ledger.replace("HTTP/1", "gRPC")}---\n${users}`);
      const path = "/ledger.v1.Ledger/Read";
      const answer = (token: string): Promise<string> => grpcStatus("web-0", path, bearer(token));
      await until("the ledger asks for tokens", async () => (await grpcStatus("web-0", path)) === "16");
      assert.equal(await answer(exampleToken()), "0");
      assert.equal(await answer(exampleToken({ exp: 1 })), "16");
      assert.equal(await answer(exampleToken({ tier: "lead" })), "7");
      assert.equal(await grpcStatus("other-0", path, bearer(exampleToken())), "7");
    });

    test("a token may stand in a header or cookie of its own, and may be left for the application", async () => {
      const { mesh } = world();
      const from = "  from: [{header: {name: X-Token}}, {cookie: {name: token}}]\n  claims:";
      const users = example("Tokens (JWT)").replace(/^ {2}claims:/m, from);
      await mesh.applyYaml(FILE, `${serverOnly()}---\n${users}`);
      const [token, bad] = [exampleToken(), exampleToken({ exp: 1 })];
      await come([200, 403, 403], { headers: { "x-token": token } });
      assert.equal((await ask("web-0", { headers: bearer(token) })).status, 401);
      const cookies = headersSeen(await ask("web-0", { headers: { Cookie: `a=1; token=${token}; b=2` } }));
      assert.equal(cookies["cookie"], "a=1; b=2");
      // Of two tokens either could be meant, so none is; the first place that has one counts, good or bad.
      const twice = { Cookie: `token=${token}; token=${bad}` };
      assert.equal((await ask("web-0", { headers: twice })).status, 401);
      assert.equal(
        (await ask("web-0", { headers: { "x-token": bad, Cookie: `token=${token}` } })).status,
        401,
      );
      await mesh.applyYaml(
        FILE,
        `${serverOnly()}---\n${users.replace(/^ {2}claims:/m, "  forwardToken: true\n  claims:")}`,
      );
      await until("the application sees the token", async () => {
        const seen = headersSeen(await ask("web-0", { headers: { "x-token": token } }));
        return seen["x-token"] === token;
      });
    });

    test("the pod's own probes pass a Server that lets nobody in; of two Servers for a port the elder counts", async () => {
      const { mesh } = world();
      const younger = serverOnly()
        .replace("name: payments", "name: zz-younger")
        .replace("proxyProtocol", "accessPolicy: all-unauthenticated\n  proxyProtocol");
      await mesh.applyYaml(FILE, `${serverOnly()}---\n${younger}`);
      await come([403, 403, 403]);
      const before = await probed();
      await until("the pod is probed", async () => (await probed()) > before);
      await come([403, 403, 403], { path: "/live/else" });
      await come([403, 403, 403], { path: "/live", method: "POST" });
    });

    test("an audit of bytes admits and counts connections", async () => {
      const { mesh, to } = world();
      const audit = serverOnly()
        .replace("8080", String(AppPort.opaque))
        .replace("proxyProtocol: HTTP/1", "proxyProtocol: opaque\n  accessPolicy: audit");
      await mesh.applyYaml(FILE, audit);
      await until("connections are audited", async () => {
        const wire = await Wire.to(mesh.place("other-0"), to("other-0", AppPort.opaque));
        await wire.through("is here\n");
        wire.close();
        return (await sum("hauberk_inbound_tcp_authz_audit_total", `client_id="${OTHER}"`)) > 0;
      });
    });

    test("another service is asked over mTLS, told what is listed, and its word is carried out", async () => {
      const { mesh } = world();
      await mesh.applyYaml(FILE, `${serverOnly()}---\n${example("Another service's word")}`);
      await come([200, 403, 403]);
      const headers = { "X-User": "root", "x-verdict": "allow", "x-secret": "1" };
      const allowed = await ask("web-0", { path: "/a?b=c", headers });
      assert.equal(allowed.headers.get("x-judged"), "yes");
      const seen = headersSeen(allowed);
      // The question came over mTLS: who asks and for whom is proven.
      assert.equal(seen["x-user"], `ann of ${WEB}`);
      assert.equal(seen["x-unlisted"], undefined);
      assert.equal(seen["x-verdict"], undefined);
      const [question] = (await mesh.events("judge-0")).filter((event) => event.includes("/a?b=c"));
      assert.deepEqual(JSON.parse(question?.replace("check ", "") ?? ""), {
        principal: WEB,
        address: await mesh.ip("web-0"),
        method: "GET",
        path: "/a?b=c",
        headers: { "x-verdict": "allow" },
        context: { policy: "payments" },
      });
      assert.ok((await mesh.sum("judge-0", "inbound_http_authz_allow_total", 'client_id="prod.prod.')) > 0);
    });

    test("a denial is told in the service's words, and no answer in time is a denial", async () => {
      const denied = await judged("418");
      assert.deepEqual(
        [denied.status, denied.headers.get("x-why"), denied.body.toString()],
        [418, "because", "denied with 418"],
      );
      assert.equal((await judged("418", "HEAD")).status, 418);
      assert.equal((await judged("200")).status, 403);
      assert.equal((await judged("silent")).status, 403);
      const begun = performance.now();
      const late = await judged("pause-5000");
      assert.equal(late.status, 403);
      assert.match(late.headers.get("l5d-proxy-error") ?? "", /external_unavailable$/);
      assert.ok(performance.now() - begun < 3_000);
      const results = await Promise.all(
        ["allowed", "denied", "failed", "cached"].map((result) =>
          sum("hauberk_inbound_external_authz_total", `result="${result}"`),
        ),
      );
      assert.deepEqual(
        results.map((count) => count > 0),
        [true, true, true, false],
      );
    });

    test("equal questions are asked once while an answer holds, and a policy may choose to fail open", async () => {
      const { mesh } = world();
      const open = example("Another service's word").replace(
        /^ {2}timeout: 500ms$/m,
        "  timeout: 500ms\n  cache: 1m\n  failurePolicy: dangerousAllow",
      );
      await mesh.applyYaml(FILE, `${serverOnly()}---\n${open}`);
      const late = { path: "/late", headers: { "x-verdict": "pause-5000" } };
      await until("the policy fails open", async () => (await ask("web-0", late)).status === 200);
      const asked = async (): Promise<number> =>
        (await mesh.events("judge-0")).filter((event) => event.includes("/often")).length;
      assert.deepEqual(
        [await often("/often"), await often("/often"), await often("/often")],
        [200, 200, 200],
      );
      assert.equal(await asked(), 1);
      assert.equal(await often("/often?more"), 200);
      assert.equal(await asked(), 2);
    });

    test("a policy that requires what does not exist or is not known admits nobody", async () => {
      await apply("Trying it out: audit");
      await come([200, 200, 200]);
      await world().mesh.applyYaml(FILE, required("{group: example.com, kind: Tarot, name: cards}"));
      await come([403, 403, 403]);
      await apply("Trying it out: audit");
      await come([200, 200, 200]);
      const missing = "{group: policy.hauberk.io, kind: HeaderAuthentication, name: missing}";
      await world().mesh.applyYaml(FILE, required(missing));
      await come([403, 403, 403]);
    });
  });
}

/** The Server of the first example, without anything that lets anybody in. */
export function serverOnly(): string {
  return example("One caller, and nobody else").split("---\n")[0] ?? "";
}

/** The Server with a policy that requires this. */
function required(reference: string): string {
  return `${serverOnly()}---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: odd, namespace: prod}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: payments}
  requiredAuthenticationRefs: [${reference}]
`;
}

function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}
