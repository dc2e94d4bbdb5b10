/** The trust bundle: what the mesh trusts, as it is written down and named. Pure. */
import { writeCertificatesPem, type Certificate } from "@hauberk/crypto/certificate.ts";
import { sha256 } from "@hauberk/crypto/digest.ts";

/** What the mesh trusts, as proxies receive it. */
export interface TrustBundle {
  readonly anchors: readonly Certificate[];
  readonly pem: string;
  /**
   * Names the bundle as proxies do: SHA-256, in hexadecimal, of the anchors' own digests in ascending order and each
   * once. Equal trust has equal digests, however its text is written.
   */
  readonly digest: string;
}

/** The bundle of some anchors: in the order of their fingerprints, each once, so that equal trust is equal bytes. */
export function trustBundle(anchors: readonly Certificate[]): TrustBundle {
  const distinct = new Map(anchors.map((anchor) => [anchor.fingerprint, anchor]));
  const sorted = [...distinct.values()].toSorted((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
  const digests = Buffer.concat(sorted.map(({ fingerprint }) => Buffer.from(fingerprint, "hex")));
  return {
    anchors: sorted,
    pem: writeCertificatesPem(sorted),
    digest: Buffer.from(sha256(digests)).toString("hex"),
  };
}

/** Whether a bundle holds the anchor of this fingerprint. */
export function trusts(bundle: TrustBundle, fingerprint: string): boolean {
  return bundle.anchors.some((anchor) => anchor.fingerprint === fingerprint);
}
