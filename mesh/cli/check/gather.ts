import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readCertificatesPem } from "@hauberk/crypto/certificate.ts";
import type { MeshClient } from "@hauberk/mesh/standalone/control-client.ts";
import type { MeshStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import type { StatePaths } from "@hauberk/mesh/standalone/state.ts";
import { readReport } from "../viz-client.ts";
import type { AuthorityFacts, CheckFacts, Learnt, PresentedCertificate } from "./facts.ts";

/** Traffic of this long is looked at. */
const WINDOW_MS = 30_000;

/** Asks the mesh, its files and its proxies. Never rejects: what cannot be learnt is a fact, too. */
export async function gather(client: MeshClient, paths: StatePaths, cliVersion: string): Promise<CheckFacts> {
  const status = await learn(() => client.status());
  const [authority, report, presented] = await Promise.all([
    learn(() => readAuthority(paths)),
    learn(() => readReport(paths, WINDOW_MS)),
    learn(() => presentedBy(client, status)),
  ]);
  return { nowMs: Date.now(), cliVersion, status, authority, report, presented };
}

async function learn<T>(ask: () => Promise<T>): Promise<Learnt<T>> {
  try {
    return { ok: true, value: await ask() };
  } catch (error) {
    return { ok: false, why: error instanceof Error ? error.message : String(error) };
  }
}

/** The authority of a standalone mesh, as its files say. */
export async function readAuthority(paths: StatePaths): Promise<AuthorityFacts> {
  const file = (name: string): Promise<string> => readFile(join(paths.identity, "issuer", name), "utf8");
  const [bundle, chain] = await Promise.all([file("ca-bundle.crt"), file("crt.pem")]);
  const [issuer, ...intermediates] = readCertificatesPem(chain);
  if (issuer === undefined) throw new Error("crt.pem holds no certificate");
  return { anchors: readCertificatesPem(bundle), issuer, intermediates };
}

async function presentedBy(
  client: MeshClient,
  status: Learnt<MeshStatus>,
): Promise<readonly PresentedCertificate[]> {
  if (!status.ok) throw new Error(status.why);
  const meshed = status.value.pods.filter(({ identity }) => identity !== undefined);
  return Promise.all(
    meshed.map(async (pod) => {
      const { chain } = await client.certificate(pod);
      const [leaf, ...intermediates] = readCertificatesPem(chain.join("\n"));
      if (leaf === undefined) throw new Error(`${pod.namespace}/${pod.name} shows no certificate`);
      return { pod, leaf, intermediates };
    }),
  );
}
