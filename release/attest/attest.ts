/** Says of every part of an image what must be said, signs it twice over, and attaches it. */
import type { KeyPair } from "@hauberk/crypto/algorithms.ts";
import type { Descriptor } from "../oci/model.ts";
import type { Store } from "../oci/store.ts";
import type { Seal } from "../sign/keyless.ts";
import { BUNDLE, COMPANION, readBundle, writeBundle, writeCompanion } from "./bundle.ts";
import { IN_TOTO, Predicate, writeStatement, type PredicateName } from "./statement.ts";
import { digestOf } from "../oci/model.ts";

/** Keys of one party: the builder, or the gate. */
export interface Signer {
  /** ECDSA P-256, which cosign takes. */
  readonly classical: KeyPair;
  /** ML-DSA-87. */
  readonly postQuantum: KeyPair;
  /** Seals every statement once more, with a certificate. */
  readonly seal?: Seal;
}

/** What is said of one part, by one party. */
export type Claims = Readonly<Partial<Record<PredicateName, unknown>>>;

/** What the builder says. */
export type BuilderClaims = Readonly<Record<"signature" | "provenance" | "bom" | "vex", unknown>>;

/** Attaches one signed statement per claim and way of signing, each with its companion. */
export async function attest(
  store: Store,
  { subject, name, claims }: { readonly subject: Descriptor; readonly name: string; readonly claims: Claims },
  { signer, at }: { readonly signer: Signer; readonly at: string },
): Promise<void> {
  const names: readonly PredicateName[] = ["signature", "provenance", "bom", "vex", "summary", "testResult"];
  for (const claim of names) {
    if (claims[claim] === undefined) continue;
    const predicateType = Predicate[claim];
    const payload = writeStatement({ name, digest: subject.digest }, predicateType, claims[claim]);
    const bundles = [writeBundle(IN_TOTO, payload, signer.classical)];
    if (signer.seal !== undefined) bundles.push(await signer.seal(IN_TOTO, payload));
    const annotations = {
      "dev.sigstore.bundle.content": "dsse-envelope",
      "dev.sigstore.bundle.predicateType": predicateType,
      "org.opencontainers.image.created": at,
    };
    for (const bundle of bundles) {
      await store.attach(subject, { artifactType: BUNDLE, bytes: bundle, annotations });
      await store.attach(subject, {
        artifactType: COMPANION,
        bytes: writeCompanion(digestOf(bundle), readBundle(bundle).envelope, signer.postQuantum),
        annotations: { "dev.hauberk.companion.of": digestOf(bundle), "org.opencontainers.image.created": at },
      });
    }
  }
}
