/** Asks every proxy of a running mesh for the cryptography that it uses. */
import { readCertificatesPem } from "@hauberk/crypto/certificate.ts";
import { digest, type Digest } from "@hauberk/crypto/digest.ts";
import {
  inventoryOf,
  isWanted,
  type CryptoInventory,
  type LeafFacts,
  type Scraped,
} from "@hauberk/compliance/inventory/inventory.ts";
import { workloadIdentity } from "@hauberk/mesh/model/identity.ts";
import type { Pod } from "@hauberk/mesh/model/workload.ts";
import { parseExposition } from "@hauberk/viz/exposition.ts";
import type { AskablePods, Looked } from "../world/command.ts";
import { meshedPods, scrape, type Scrape } from "../world/scrape.ts";

/** The inventory, the answers that it was read from, and their digest. */
export interface Seen {
  readonly inventory: CryptoInventory;
  readonly answers: readonly Scrape[];
  readonly digest: Digest;
}

/** What is told of a certificate that somebody shows. */
export function leafFacts(pem: string): LeafFacts {
  const [leaf] = readCertificatesPem(pem);
  if (leaf === undefined) throw new Error("no certificate was shown");
  const { publicKey, signatureAlgorithm, notBeforeMs, notAfterMs, fingerprint } = leaf;
  return {
    keyType: publicKey.algorithm.name.replace(/-sha\d+$/, ""),
    signatureAlgorithm: signatureAlgorithm.name,
    notBefore: new Date(notBeforeMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
    fingerprint,
  };
}

async function leafOf(pods: AskablePods, { meta }: Pod): Promise<LeafFacts | undefined> {
  if (pods.certificates === undefined) return undefined;
  try {
    return leafFacts((await pods.certificates(meta)).join("\n"));
  } catch {
    // The inventory says what the metrics say then; that a proxy shows nothing is a check's business.
    return undefined;
  }
}

/** Asks the proxies of `namespace`, or all. */
export async function seeCrypto(
  { world, pods }: Looked & { readonly pods: AskablePods },
  namespace: string | undefined,
): Promise<Seen> {
  const meshed = new Map(
    meshedPods(world.snapshot, namespace).map((pod) => [`${pod.meta.namespace}/${pod.meta.name}`, pod]),
  );
  const answers = await scrape(
    [...meshed.values()].map(({ meta }) => meta),
    pods.ask,
  );
  const scraped = await Promise.all(
    answers.map(async ({ namespace: of, name, answer }): Promise<Scraped | undefined> => {
      const pod = meshed.get(`${of}/${name}`);
      if (!answer.ok || pod === undefined) return undefined;
      const account = { namespace: of, name: pod.serviceAccount };
      return {
        namespace: of,
        pod: name,
        identity: workloadIdentity(account, world.settings)?.dnsName,
        series: parseExposition(answer.text, isWanted),
        leaf: await leafOf(pods, pod),
      };
    }),
  );
  const silent = answers.flatMap(({ namespace: of, name, answer }) =>
    answer.ok ? [] : [`${of}/${name}: ${answer.why}`],
  );
  const inventory = inventoryOf(
    scraped.filter((one) => one !== undefined),
    { at: new Date(), silent, controlPlane: world.settings.controlPlaneNamespace },
  );
  return { inventory, answers, digest: digest(Buffer.from(JSON.stringify(answers))) };
}
