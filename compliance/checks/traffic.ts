/** Checks of what goes over the wire. Pure. */
import { isPostQuantum, type CryptoEdge, type CryptoInventory } from "../inventory/inventory.ts";
import { count, satisfied, unknown, unsatisfied, using, type Check, type Outcome } from "./check.ts";

const between = ({ client, server }: CryptoEdge) => `${client === "" ? "(no identity)" : client} → ${server}`;
const total = (edges: readonly CryptoEdge[]) => edges.reduce((sum, { connections }) => sum + connections, 0);

/** A judgement that is only as good as the proxies that answered. */
function ofAll(inventory: CryptoInventory, judge: () => Outcome): Outcome {
  const { proxies, silent } = inventory;
  const outcome = judge();
  if (outcome.status !== "satisfied") return outcome;
  if (proxies.length === 0) return unknown("No proxy answered.", silent);
  if (silent.length > 0)
    return unknown(
      `${count(silent.length, "proxy", "proxies")} did not answer; the others show no fault.`,
      silent,
    );
  return outcome;
}

const noEdges = unknown("No connection between workloads was counted yet.");

/** A proxy that asks for its first certificate has none to show: it proves itself with a token. */
function isBootstrap({ client, server }: CryptoEdge, namespace: string): boolean {
  return client === "" && server.includes(`.${namespace}.serviceaccount.identity.`);
}

export const TRAFFIC_CHECKS: readonly Check[] = [
  {
    id: "traffic-encrypted",
    title: "Traffic between workloads is encrypted by the mesh",
    needs: ["crypto"],
    remedy:
      "Mesh the peers that are named, and let the ports require an identity (default inbound policy all-authenticated, or a Server with authorizations).",
    judge: ({ crypto }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          const plain = inventory.plain.filter(({ scope }) => scope === "mesh");
          const findings = plain.map(
            ({ observer, direction, peer, connections }) =>
              `${observer}: ${direction} ${peer}: ${connections} without TLS of the mesh`,
          );
          if (findings.length > 0)
            return unsatisfied(
              `${count(plain.length, "edge")} carried traffic without the mesh's TLS.`,
              findings,
            );
          if (inventory.edges.length === 0) return noEdges;
          const all = total(inventory.edges);
          return satisfied(
            `All ${count(all, "connection")} on ${count(inventory.edges.length, "edge")} used the mesh's TLS.`,
          );
        }),
      ),
  },
  {
    id: "tls-version",
    title: "Every connection of the mesh uses TLS 1.3 with authenticated encryption",
    needs: ["crypto"],
    remedy: "Upgrade the peers that are named; a Hauberk proxy offers TLS 1.3 and AEAD suites only.",
    judge: ({ crypto }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          if (inventory.edges.length === 0) return noEdges;
          const old = inventory.edges.filter(
            ({ version, suite }) =>
              version !== "TLSv1.3" || !/^TLS_(?:AES_(?:128|256)_GCM|CHACHA20_POLY1305)_/.test(suite),
          );
          if (old.length > 0)
            return unsatisfied(
              `${count(old.length, "edge")} negotiated something else.`,
              old.map((edge) => `${between(edge)}: ${edge.version} ${edge.suite}`),
            );
          return satisfied(`All ${count(total(inventory.edges), "connection")} used TLS 1.3.`);
        }),
      ),
  },
  {
    id: "traffic-authenticated",
    title: "Both ends of every connection prove who they are",
    needs: ["crypto"],
    remedy: "Let the ports that are named require an identity, and mesh the clients that reach them.",
    judge: ({ crypto, system }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          const nameless = inventory.edges.filter(
            (edge) => (edge.client === "" || edge.server === "") && !isBootstrap(edge, system.namespace),
          );
          const inbound = inventory.plain.filter(
            ({ direction, scope }) => direction === "inbound" && scope === "mesh",
          );
          const findings = [
            ...nameless.map((edge) => `${between(edge)}: ${edge.connections} without a client certificate`),
            ...inbound.map(
              ({ observer, peer, connections }) =>
                `${observer} ${peer}: let in ${connections} without identity`,
            ),
          ];
          if (findings.length > 0)
            return unsatisfied(`${count(findings.length, "edge")} had an end that proved nothing.`, findings);
          if (inventory.edges.length === 0) return noEdges;
          return satisfied(
            `Both ends of all ${count(inventory.edges.length, "edge")} proved their identities.`,
          );
        }),
      ),
  },
  {
    id: "post-quantum",
    title: "Keys are agreed on with a hybrid post-quantum group",
    needs: ["crypto"],
    remedy:
      "Upgrade the peers that are named, then set HAUBERK_PROXY_POST_QUANTUM=require so that classical peers are refused.",
    judge: ({ crypto }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          if (inventory.edges.length === 0) return noEdges;
          const classical = inventory.edges.filter(({ group }) => !isPostQuantum(group));
          if (classical.length > 0)
            return unsatisfied(
              `${count(total(classical), "connection")} of ${total(inventory.edges)} used a classical group.`,
              classical.map((edge) => `${between(edge)}: ${edge.group} (${edge.connections})`),
            );
          return satisfied(
            `All ${count(total(inventory.edges), "connection")} used a hybrid post-quantum group.`,
          );
        }),
      ),
  },
  {
    id: "cnsa-strength",
    title: "Suites, groups and signatures have the strength of CNSA 2.0",
    needs: ["crypto"],
    remedy:
      "CNSA 2.0 names ML-KEM-1024, ML-DSA-87, AES-256 and SHA-384; X25519MLKEM768, P-256 and AES-128 are below it. No build of Hauberk offers all of them in the mesh's TLS yet.",
    judge: ({ crypto }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          if (inventory.edges.length === 0) return noEdges;
          const weak = inventory.edges.filter(
            ({ suite, group }) => suite !== "TLS_AES_256_GCM_SHA384" || !group.includes("MLKEM1024"),
          );
          const keys = inventory.proxies.filter(({ certificate }) => certificate.keyType !== "ml-dsa-87");
          const findings = [
            ...weak.map((edge) => `${between(edge)}: ${edge.group} ${edge.suite}`),
            ...keys.map(
              ({ namespace, pod, certificate }) =>
                `${namespace}/${pod}: certificate with ${certificate.keyType}`,
            ),
          ];
          if (findings.length === 0) return satisfied("Every edge and certificate has the strength.");
          return unsatisfied(
            `${count(weak.length, "edge")} and ${count(keys.length, "certificate")} are below it.`,
            findings,
          );
        }),
      ),
  },
  {
    id: "egress-protected",
    title: "What leaves the mesh is protected",
    needs: ["crypto"],
    remedy:
      "Send what leaves through a route of an EgressNetwork to a meshed gateway, or show by other evidence that the applications use TLS of their own.",
    judge: ({ crypto }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          const outside = inventory.plain.filter(({ scope }) => scope === "outside");
          if (outside.length === 0)
            return satisfied("No connection to an address outside of the mesh was counted.");
          return unknown(
            `${count(outside.length, "edge")} left the mesh: whether the applications used TLS of their own is not known.`,
            outside.map(({ observer, peer, connections }) => `${observer} → ${peer}: ${connections}`),
          );
        }),
      ),
  },
  {
    id: "approved-mode",
    title: "Every cryptographic module runs in its FIPS approved mode",
    needs: ["crypto"],
    remedy: "Install the FIPS builds; a component that cannot show its approved mode must not become ready.",
    judge: ({ crypto }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          const { proxies } = inventory;
          const name = (proxy: (typeof proxies)[number]) =>
            `${proxy.namespace}/${proxy.pod}: ${proxy.module.name} ${proxy.module.version}`;
          const not = proxies.filter(({ module }) => module.mode === "not-approved");
          if (not.length > 0)
            return unsatisfied(
              `${count(not.length, "proxy", "proxies")} of ${proxies.length} do not run in approved mode.`,
              not.map(name),
            );
          const silent = proxies.filter(({ module }) => module.mode === "unknown");
          if (silent.length > 0)
            return unknown(
              `${count(silent.length, "proxy", "proxies")} do not say their mode.`,
              silent.map(name),
            );
          return satisfied(`All ${count(proxies.length, "proxy", "proxies")} run in approved mode.`);
        }),
      ),
  },
  {
    id: "decisions-counted",
    title: "Proxies count what they let in and what they refuse",
    needs: ["crypto"],
    remedy:
      "Look why the proxies that are named count nothing: they took no connection yet, or are of an older release.",
    judge: ({ crypto }) =>
      using(crypto, (inventory) =>
        ofAll(inventory, () => {
          const counting = inventory.proxies.filter(({ countsDecisions }) => countsDecisions);
          if (counting.length === 0) return unknown("No proxy has decided anything yet.");
          return satisfied(
            `${count(counting.length, "proxy", "proxies")} counted their decisions; the others took no connection yet.`,
          );
        }),
      ),
  },
];
