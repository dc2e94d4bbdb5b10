/** What a request may have to bring besides its client's identity: headers, a token, another service's word. */
import type { Meta, NamespacedName } from "./meta.ts";

/** How every value of a header is judged. */
export type HeaderTest =
  | { readonly type: "Present" | "NotPresent" }
  /** One of `values`, or beginning with one of them. */
  | { readonly type: "Exact" | "Prefix"; readonly values: readonly string[] }
  | { readonly type: "RegularExpression"; readonly pattern: string };

export interface HeaderAuthentication {
  readonly meta: Meta;
  /** All must hold. Names are in lower case. */
  readonly headers: readonly { readonly name: string; readonly test: HeaderTest }[];
}

/** JWS algorithms that are accepted: none without a signature, and none with a shared secret. */
export const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "EdDSA",
] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** A public key of an issuer, as numbers. */
export interface VerificationKey {
  readonly id: string | undefined;
  readonly algorithms: readonly Algorithm[];
  readonly material:
    | { readonly type: "rsa"; readonly modulus: Uint8Array; readonly exponent: Uint8Array }
    /** ECDSA: 0x04, x, y. EdDSA: 32 bytes. */
    | { readonly type: "point"; readonly point: Uint8Array };
}

/** Where the keys of an issuer come from. */
export type KeySource = { readonly type: "inline"; readonly keys: readonly VerificationKey[] } | KeyLocation;

/** Keys that the control plane fetches. Equal locations share one fetch. */
export interface KeyLocation {
  readonly type: "uri";
  readonly uri: string;
  /** PEM certificates to trust instead of the system's. */
  readonly caBundle: string | undefined;
  /** How long after one look the next one is due. */
  readonly refreshMs: number;
}

/** Where a request carries its token. */
export type TokenSource =
  | { readonly type: "header"; readonly name: string; readonly prefix: string }
  | { readonly type: "cookie"; readonly name: string };

export interface JwtAuthentication {
  readonly meta: Meta;
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  /** What the issuer's keys may be used for; `undefined`: whatever each of them can. */
  readonly algorithms: readonly Algorithm[] | undefined;
  readonly skewSeconds: number;
  readonly sources: readonly TokenSource[];
  readonly claims: readonly {
    readonly path: readonly string[];
    readonly anyOf: readonly string[];
    readonly contains: readonly string[];
  }[];
  readonly forwardsToken: boolean;
  readonly claimHeaders: readonly { readonly path: readonly string[]; readonly header: string }[];
}

/** A service that is asked about each request (`envoy.service.auth.v3.Authorization`). */
export interface ExternalAuthorization {
  readonly meta: Meta;
  readonly backend: NamespacedName & { readonly port: number };
  readonly timeoutMs: number;
  /** How long an answer holds for equal questions; 0: not at all. */
  readonly cacheMs: number;
  readonly dangerousAllowOnFailure: boolean;
  /** Told to the service, in lower case. */
  readonly requestHeaders: readonly string[];
  /** What the service may set for the application, in lower case. */
  readonly setHeaders: readonly string[];
  readonly context: Readonly<Record<string, string>>;
}
