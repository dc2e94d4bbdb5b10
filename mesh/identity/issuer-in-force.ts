/** The issuer that leaves are issued by: replaced only by one that was accepted. */
import { digest } from "@hauberk/crypto/digest.ts";
import { openIssuer, type Issuer, type IssuerPem, type IssuerRefusal } from "./issuer.ts";

/** What became of an issuer that was offered. */
export type Offered =
  | { readonly type: "unchanged" }
  | { readonly type: "replaced"; readonly issuer: Issuer }
  /** It is wrong; what was in force before stays. */
  | { readonly type: "kept"; readonly refusal: IssuerRefusal; readonly isNew: boolean };

/** Counts for metrics: never removed, only added to. */
export interface IssuerCounts {
  replaced: number;
  refused: number;
}

/** See the head of the file. Empty until the first issuer was accepted. */
export class IssuerInForce {
  #issuer: Issuer | undefined;
  #accepted = "";
  #refused = "";
  readonly #counts: IssuerCounts = { replaced: 0, refused: 0 };

  get issuer(): Issuer | undefined {
    return this.#issuer;
  }

  get counts(): Readonly<IssuerCounts> {
    return this.#counts;
  }

  /** Puts an issuer in force if it is good at `nowMs`. The same refusal twice is not new. */
  offer(pem: IssuerPem, nowMs: number): Offered {
    const seen = fingerprint(pem);
    if (seen === this.#accepted) return { type: "unchanged" };
    const verdict = openIssuer(pem, nowMs);
    // What is refused is judged again when it is offered again: it may be half of a change, or valid a moment later.
    if (!verdict.ok) return this.refuse(verdict.refusal, seen);
    if (this.#issuer !== undefined) this.#counts.replaced += 1;
    this.#accepted = seen;
    this.#refused = "";
    this.#issuer = verdict.issuer;
    return { type: "replaced", issuer: verdict.issuer };
  }

  /** Counts an issuer that could not even be read; `seen` tells it from others. */
  refuse(refusal: IssuerRefusal, seen: string): Offered {
    const isNew = seen !== this.#refused;
    if (isNew) this.#counts.refused += 1;
    this.#refused = seen;
    return { type: "kept", refusal, isNew };
  }
}

function fingerprint(pem: IssuerPem): string {
  return digest(new TextEncoder().encode(JSON.stringify([pem.certificates, pem.privateKey, pem.anchors])));
}
