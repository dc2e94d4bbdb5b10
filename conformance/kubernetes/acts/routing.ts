/** Objects that apply unchanged: a canary by weight (S0-09, S0-10), and a lock-down to one caller (S0-12). */
import { load, shareOf, statusFrom, told, assertWhole } from "../asking.ts";
import { deployment, namespace, service, serviceAccount, urlOf } from "../objects.ts";
import { eventually, type World } from "../world.ts";
import type { Act } from "../suite.ts";

const WEB = { namespace: "frontend", deployment: "web" } as const;
const INTRUDER = { namespace: "frontend", deployment: "intruder" } as const;
const PAYMENTS = urlOf("payments", "prod");
/** Of 600 requests, more than four standard deviations of a share of ten in a hundred. */
const SHARE_ERROR_MAX = 5;

/** As in REQUIREMENTS, S0-09: v1beta1, and the core group by its other name. */
const CANARY = `apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata: {name: payments-canary, namespace: prod}
spec:
  parentRefs: [{name: payments, kind: Service, group: core, port: 8080}]
  rules:
  - backendRefs:
    - {name: payments-stable, port: 8080, weight: 90}
    - {name: payments-canary, port: 8080, weight: 10}
`;

/** As in REQUIREMENTS, S0-12, with the Server and the policy that it is used by. */
const LOCKDOWN = `apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: payments-callers, namespace: prod}
spec:
  identities: ["web.frontend.serviceaccount.identity.linkerd.cluster.local"]
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: payments, namespace: prod}
spec:
  podSelector: {matchLabels: {tier: payments}}
  port: 8080
  proxyProtocol: HTTP/1
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: payments-callers, namespace: prod}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: payments}
  requiredAuthenticationRefs:
  - {group: policy.linkerd.io, kind: MeshTLSAuthentication, name: payments-callers}
`;

async function deploy(world: World): Promise<void> {
  const of = "prod";
  const inject = { "linkerd.io/inject": "enabled" };
  const tier = { tier: "payments" };
  await world.apply(
    namespace(of, inject),
    deployment({ name: "payments-stable", namespace: of, version: "stable", replicas: 2, labels: tier }),
    deployment({ name: "payments-canary", namespace: of, version: "canary", labels: tier }),
    // Without a route, every pod of the tier would be asked: the parent's own pods are the stable ones.
    service("payments", of, { app: "payments-stable" }),
    service("payments-stable", of, { app: "payments-stable" }),
    service("payments-canary", of, { app: "payments-canary" }),
    namespace("frontend", inject),
    ...["web", "intruder"].flatMap((name) => [
      serviceAccount(name, "frontend"),
      deployment({ name, namespace: "frontend", account: name }),
    ]),
  );
  for (const name of ["payments-stable", "payments-canary"]) await world.rolledOut(of, `deploy/${name}`);
  for (const name of ["web", "intruder"]) await world.rolledOut("frontend", `deploy/${name}`);
}

/** Waits until the canary's share is about `percent`, and says what was seen. */
async function settled(world: World, percent: number): Promise<string> {
  return eventually(`${percent}% of requests go to the canary`, async () => {
    const loaded = await load(world, WEB, { url: PAYMENTS, rate: 200, seconds: 3 });
    assertWhole(loaded);
    const share = shareOf(loaded, "canary");
    const isSo = percent === 0 ? share === 0 : Math.abs(share - percent) <= SHARE_ERROR_MAX;
    return isSo ? `canary ${share.toFixed(1)}%, ${told(loaded)}` : undefined;
  });
}

export const ROUTING: readonly Act[] = [
  {
    name: "S0-09: the canary's HTTPRoute applies unchanged and shifts 90/10",
    play: async (world) => {
      await deploy(world);
      await world.ask(["apply", "-f", "-"], CANARY);
      return settled(world, 10);
    },
  },
  {
    name: "S0-10: its weights edited live shift 50/50",
    play: async (world) => {
      await world.ask(
        ["apply", "-f", "-"],
        CANARY.replace("weight: 90", "weight: 50").replace("weight: 10", "weight: 50"),
      );
      return settled(world, 50);
    },
  },
  {
    name: "S0-10: its deletion rolls back",
    play: async (world) => {
      await world.ask(["-n", "prod", "delete", "httproute", "payments-canary"]);
      return settled(world, 0);
    },
  },
  {
    name: "S0-12: one identity is let in, another is refused",
    play: async (world) => {
      const before = await statusFrom(world, INTRUDER, PAYMENTS);
      if (before !== "200") throw new Error(`the intruder had ${before} before the lock-down`);
      await world.ask(["apply", "-f", "-"], LOCKDOWN);
      const refused = await eventually("the intruder is refused", async () => {
        const status = await statusFrom(world, INTRUDER, PAYMENTS);
        return status === "403" ? status : undefined;
      });
      const allowed = await statusFrom(world, WEB, PAYMENTS);
      if (allowed !== "200") throw new Error(`web.frontend has ${allowed}`);
      return `intruder ${refused}, web ${allowed}`;
    },
  },
];
