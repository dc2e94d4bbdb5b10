/** Trust that others make and replace: an issuer as cert-manager writes it, roots as trust-manager writes them. */
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Say } from "@hauberk/cluster/here.ts";
import { z } from "zod";
import { assertWhole, loadUntil, told } from "../kubernetes/asking.ts";
import { deployment, namespace, service, urlOf } from "../kubernetes/objects.ts";
import { eventually, World } from "../kubernetes/world.ts";
import type { Case, SuiteResult } from "../report.ts";
import { issuerSecret, makeIssuer, makeRoot, trustRoots, type Credential } from "./authority.ts";

/** The clusters of suites have numbers of their own; this one shares it with `progressive`, since no two run at once. */
const NUMBER = 7;
const RATE = 20;
const RENEWED_MS_MAX = 120_000;
const SHOP = "shop";
const CALLER = { namespace: SHOP, deployment: "caller" } as const;
const URL = urlOf("web", SHOP);
const INSTALLATION = [
  "hauberk install --crds | kubectl apply -f -",
  "hauberk install --identity-external-issuer --identity-external-ca | kubectl apply -f -",
  "hauberk check --wait 240s",
] as const;

interface Authorities {
  readonly roots: readonly [Credential, Credential];
  /** Two below the first root, one below the second. */
  readonly issuers: readonly [Credential, Credential, Credential];
}

async function makeAuthorities(dir: string): Promise<Authorities> {
  const roots = [await makeRoot(dir, "root-1"), await makeRoot(dir, "root-2")] as const;
  const issuers = [
    await makeIssuer(dir, "issuer-1", roots[0]),
    await makeIssuer(dir, "issuer-2", roots[0]),
    await makeIssuer(dir, "issuer-3", roots[1]),
  ] as const;
  return { roots, issuers };
}

const Shown = z.array(z.looseObject({ pod: z.string(), pem: z.string() }));

/** The leaves that the shop's proxies present. */
async function leaves(world: World): Promise<readonly X509Certificate[]> {
  const { code, stdout, stderr } = await world.shell(`hauberk identity ${SHOP} -o json`);
  if (code !== 0) throw new Error(`hauberk identity: ${stderr}`);
  return Shown.parse(JSON.parse(stdout)).map(({ pem }) => new X509Certificate(pem));
}

/** Waits until every leaf is signed by `issuer`. */
async function allIssuedBy(world: World, { certificate, name }: Credential): Promise<string> {
  const { publicKey } = new X509Certificate(certificate);
  return eventually(
    `every leaf is of ${name}`,
    async () => {
      const all = await leaves(world);
      const signed = all.filter((leaf) => leaf.verify(publicKey)).length;
      return all.length > 0 && signed === all.length ? `${signed} leaves of ${name}` : undefined;
    },
    RENEWED_MS_MAX,
  );
}

async function uids(world: World): Promise<string> {
  const path =
    "jsonpath={range .items[*]}{.metadata.uid} {.status.initContainerStatuses[*].restartCount};{end}";
  return world.ask(["-n", SHOP, "get", "pods", "-o", path]);
}

/** Writes an object over the one before, as whoever owns it does. */
async function replaced(world: World, object: ReturnType<typeof trustRoots>): Promise<void> {
  await world.ask(["replace", "-f", "-"], JSON.stringify(object));
}

/** Waits for what an operator waits for. The command ends with another code than 0 while something is waited for. */
async function statusSays(world: World, what: string, pattern: RegExp): Promise<void> {
  await eventually(
    what,
    async () => (pattern.test((await world.shell("hauberk trust status")).stdout) ? true : undefined),
    RENEWED_MS_MAX,
  );
}

interface Act {
  readonly name: string;
  readonly play: (world: World, authorities: Authorities) => Promise<string>;
}

async function underLoad(world: World, what: () => Promise<string>): Promise<string> {
  const done = sleep(1_000).then(what);
  const [loaded, seen] = await Promise.all([loadUntil(world, CALLER, { url: URL, rate: RATE, done }), done]);
  assertWhole(loaded);
  return `${seen}; ${told(loaded)}`;
}

const ACTS: readonly Act[] = [
  {
    name: "proxies have certificates of the issuer that somebody else wrote",
    play: (world, { issuers }) => allIssuedBy(world, issuers[0]),
  },
  {
    name: "an issuer that somebody else renews is used at once: nothing of the control plane restarts, no request fails",
    play: (world, { roots, issuers }) =>
      underLoad(world, async () => {
        const path = "jsonpath={.items[*].metadata.uid}";
        const before = await world.ask(["-n", "linkerd", "get", "pods", "-o", path]);
        await replaced(world, issuerSecret(issuers[1], roots[0]));
        await eventually("the issuer is in force", async () => {
          const reasons = await world.ask([
            "-n",
            "linkerd",
            "get",
            "events",
            "-o",
            "jsonpath={.items[*].reason}",
          ]);
          return reasons.includes("IssuerUpdated") ? true : undefined;
        });
        await world.ask(["-n", SHOP, "rollout", "restart", "deployment/web"]);
        await world.rolledOut(SHOP, "deploy/web");
        const { publicKey } = new X509Certificate(issuers[1].certificate);
        const fresh = (await leaves(world)).filter((leaf) => leaf.verify(publicKey)).length;
        if (fresh === 0) throw new Error("no leaf is of the new issuer");
        if ((await world.ask(["-n", "linkerd", "get", "pods", "-o", path])) !== before)
          throw new Error("the control plane was restarted");
        return `${fresh} leaves of the new issuer`;
      }),
  },
  {
    name: "a root that somebody else replaces, both at first: no pod restarts, no request fails",
    play: (world, { roots, issuers }) =>
      underLoad(world, async () => {
        const before = await uids(world);
        await replaced(world, trustRoots(...roots));
        await statusSays(world, "every proxy trusts both roots", /proven by (\d+) of \1 proxies[^]*root-2/);
        await replaced(world, issuerSecret(issuers[2], roots[1]));
        await statusSays(world, "the second root issues", /root-2.*issues now/);
        // Proxies still have certificates of the first root; they renew them before they let it go.
        await replaced(world, trustRoots(roots[1]));
        const seen = await allIssuedBy(world, issuers[2]);
        if ((await uids(world)) !== before) throw new Error("pods were restarted");
        return seen;
      }),
  },
];

async function install(world: World, { roots, issuers }: Authorities, say: Say): Promise<void> {
  await world.applyGatewayApi();
  await world.apply(namespace("linkerd"), issuerSecret(issuers[0], roots[0]), trustRoots(roots[0]));
  for (const line of INSTALLATION) {
    say(`  ${line}`);
    const { code, stdout, stderr } = await world.shell(line);
    if (code !== 0) throw new Error(`${line}: ${code}\n${stdout}\n${stderr}`);
  }
  await world.apply(
    namespace(SHOP, { "linkerd.io/inject": "enabled" }),
    deployment({ name: "web", namespace: SHOP, replicas: 2 }),
    service("web", SHOP, { app: "web" }),
    deployment({ name: CALLER.deployment, namespace: SHOP }),
  );
  for (const name of ["web", CALLER.deployment]) await world.rolledOut(SHOP, `deploy/${name}`);
}

async function played({ name, play }: Act, world: World, authorities: Authorities): Promise<Case> {
  try {
    return { name, outcome: "holds", detail: await play(world, authorities) };
  } catch (error) {
    return { name, outcome: "failed", detail: error instanceof Error ? error.message : String(error) };
  }
}

/** Plays all acts. */
export async function externalIssuer(say: Say): Promise<SuiteResult> {
  const dir = await mkdtemp(join(tmpdir(), "hb-authority-"));
  const world = await World.start({ name: "issuer", number: NUMBER, nodes: 1, echoNames: [] }, say);
  try {
    const authorities = await makeAuthorities(dir);
    await install(world, authorities, say);
    const cases: Case[] = [];
    for (const act of ACTS) {
      const one = await played(act, world, authorities);
      say(`  ${one.outcome === "holds" ? "√" : "×"} ${one.name}: ${one.detail ?? ""}`);
      cases.push(one);
    }
    return { suite: "external-issuer", usual: () => "holds", never: [], least: ACTS.length, cases };
  } finally {
    await world.close();
    await rm(dir, { recursive: true, force: true });
  }
}
