/** The trust anchor and the issuer that an installation begins with. */
import {
  explainIssuer,
  openIssuer,
  createAuthority,
  ANCHOR_LIFE_MS,
  ISSUER_LIFE_MS,
} from "../identity/issuer.ts";
import { ValuesError, type Tree } from "./values/values.ts";
import type { Values } from "./values/schema.ts";

/** Who makes the mesh's certificates, as far as the values say. */
export type Authority =
  /** Anchors, issuer and key are among the values. */
  | { readonly type: "given" }
  /** Nobody said anything: one has to be made. */
  | { readonly type: "missing" }
  /** The issuer's Secret comes from elsewhere; `anchors` says whether the trust anchors do, too. */
  | { readonly type: "external"; readonly anchors: "given" | "missing" | "external" };

/** Judges what the values say; half of an authority is a mistake. */
export function authorityOf({ identity, identityTrustAnchorsPEM }: Values, nowMs: number): Authority {
  const { crtPEM, keyPEM } = identity.issuer.tls;
  const hasAnchors = identityTrustAnchorsPEM.trim() !== "";
  if (identity.externalCA && hasAnchors) {
    throw new ValuesError([
      "identityTrustAnchorsPEM: somebody else makes the trust anchors where identity.externalCA is set",
    ]);
  }
  if (identity.issuer.scheme === "kubernetes.io/tls") {
    if (`${crtPEM}${keyPEM}` !== "") {
      throw new ValuesError([
        "identity.issuer.tls: the scheme kubernetes.io/tls is of an issuer made elsewhere",
      ]);
    }
    return { type: "external", anchors: identity.externalCA ? "external" : hasAnchors ? "given" : "missing" };
  }
  if (identity.externalCA && `${crtPEM}${keyPEM}` === "") return { type: "external", anchors: "external" };
  if (!hasAnchors && `${crtPEM}${keyPEM}` === "") return { type: "missing" };
  if (crtPEM === "" || keyPEM === "" || (!hasAnchors && !identity.externalCA)) {
    throw new ValuesError([
      "identityTrustAnchorsPEM, identity.issuer.tls.crtPEM and identity.issuer.tls.keyPEM belong together",
    ]);
  }
  if (!identity.externalCA) {
    const pem = { certificates: crtPEM, privateKey: keyPEM, anchors: identityTrustAnchorsPEM };
    const verdict = openIssuer(pem, nowMs);
    if (!verdict.ok) throw new ValuesError([`identity.issuer.tls: ${explainIssuer(verdict.refusal)}`]);
  }
  return { type: "given" };
}

/** A new anchor and issuer, as values. The anchor's key is kept nowhere: rotation makes a new anchor. */
export function newAuthority(values: Values, controlPlaneNamespace: string, nowMs: number): Tree {
  const trustDomain = values.identityTrustDomain === "" ? values.clusterDomain : values.identityTrustDomain;
  const { issuer } = createAuthority(
    { trustDomain, controlPlaneNamespace },
    { nowMs, anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs: ISSUER_LIFE_MS },
  );
  return {
    identityTrustAnchorsPEM: issuer.anchors,
    identity: { issuer: { tls: { crtPEM: issuer.certificates, keyPEM: issuer.privateKey } } },
  };
}
