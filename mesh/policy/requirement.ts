/** What an authorization requires of requests beyond their client, as the extension of its wire message. Pure. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { extend } from "../api/extend.ts";
import {
  ExternalCheckSchema,
  HeaderConditionSchema,
  TextsSchema,
  TokenRequirementSchema,
  VerificationKeySchema,
  type ExternalCheck,
  type HeaderCondition,
  type TokenRequirement,
} from "../api/gen/hauberk/proxy/v1/authz_pb.ts";
import { AuthzExtensionSchema } from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import { AuthnSchema, type Authn, type Authz } from "../api/gen/inbound_pb.ts";
import type {
  ExternalAuthorization,
  HeaderAuthentication,
  HeaderTest,
  JwtAuthentication,
  VerificationKey,
} from "../model/authentication.ts";
import { keyOf } from "../model/meta.ts";

/** Everything that one authorization requires of a request. */
export interface Requirements {
  readonly headers: readonly HeaderCondition[];
  readonly token: TokenRequirement | undefined;
  readonly external: ExternalCheck | undefined;
}

export const NO_REQUIREMENTS: Requirements = { headers: [], token: undefined, external: undefined };

/** Who the client must be. `anyone`: nothing need be proven. */
export type Proof =
  | { readonly type: "anyone" }
  /** Exact names, `*`, or `*.suffix`. */
  | { readonly type: "identities"; readonly patterns: readonly string[] };

/** An identity that no certificate of a mesh can have (RFC 6761 section 6.4). */
const NOBODY = "requirements-not-understood.invalid";

/**
 * The authentication of a message that is extended: it admits nobody, and the extension stands for it. A proxy that skips
 * the extension refuses then, where it would otherwise admit by half of what is required.
 */
const NOBODY_AUTHN: Authn = create(AuthnSchema, {
  permit: {
    case: "meshTLS",
    value: { clients: { case: "identities", value: { identities: [{ name: NOBODY }] } } },
  },
});

/** `authz`, whose own authentication says who the client must be, with what else is required. */
export function withRequirements(authz: Authz, proof: Proof, requirements: Requirements): Authz {
  const { headers, token, external } = requirements;
  const requires = [
    ...(headers.length > 0 ? ["headers"] : []),
    ...(token === undefined ? [] : ["token"]),
    ...(external === undefined ? [] : ["external"]),
  ];
  if (requires.length === 0) return authz;
  const extension: MessageInitShape<typeof AuthzExtensionSchema> = {
    requires,
    proof: proof.type === "anyone" ? { anyone: true } : { identities: [...proof.patterns] },
    headers: [...headers],
    ...(token === undefined ? {} : { token }),
    ...(external === undefined ? {} : { external }),
  };
  return extend({ ...authz, authentication: NOBODY_AUTHN }, AuthzExtensionSchema, extension);
}

function testOf(test: HeaderTest): HeaderCondition["test"] {
  switch (test.type) {
    case "Present":
      return { case: "present", value: true };
    case "NotPresent":
      return { case: "absent", value: true };
    case "Exact":
      return { case: "exact", value: create(TextsSchema, { values: [...test.values] }) };
    case "Prefix":
      return { case: "prefix", value: create(TextsSchema, { values: [...test.values] }) };
    case "RegularExpression":
      return { case: "regex", value: test.pattern };
  }
}

export function headerConditions({ headers }: HeaderAuthentication): readonly HeaderCondition[] {
  return headers.map(({ name, test }) => create(HeaderConditionSchema, { name, test: testOf(test) }));
}

function wireKey({ id, algorithms, material }: VerificationKey) {
  return create(VerificationKeySchema, {
    id: id ?? "",
    algorithms: [...algorithms],
    ...(material.type === "rsa"
      ? { modulus: material.modulus, exponent: material.exponent }
      : { point: material.point }),
  });
}

/** What a token must be, signed by one of `keys`. */
export function tokenRequirement(jwt: JwtAuthentication, keys: readonly VerificationKey[]): TokenRequirement {
  const usable = keys
    .map((key) => ({
      ...key,
      algorithms: key.algorithms.filter((name) => jwt.algorithms?.includes(name) ?? true),
    }))
    .filter(({ algorithms }) => algorithms.length > 0);
  return create(TokenRequirementSchema, {
    name: keyOf(jwt.meta),
    issuer: jwt.issuer,
    audiences: [...jwt.audiences],
    keys: usable.map(wireKey),
    skewSeconds: jwt.skewSeconds,
    sources: jwt.sources.map((source) =>
      source.type === "header"
        ? { from: { case: "header" as const, value: source.name }, prefix: source.prefix }
        : { from: { case: "cookie" as const, value: source.name } },
    ),
    claims: jwt.claims.map(({ path, anyOf, contains }) => ({
      path: [...path],
      anyOf: [...anyOf],
      contains: [...contains],
    })),
    forwardsToken: jwt.forwardsToken,
    headers: jwt.claimHeaders.map(({ path, header }) => ({ path: [...path], header })),
  });
}

/** The question to a service, whose address and name are given. */
export function externalCheck(
  external: ExternalAuthorization,
  { address, authority }: { readonly address: string; readonly authority: string },
): ExternalCheck {
  return create(ExternalCheckSchema, {
    name: keyOf(external.meta),
    address,
    authority,
    timeoutMs: external.timeoutMs,
    cacheMs: external.cacheMs,
    dangerousAllowOnFailure: external.dangerousAllowOnFailure,
    headers: [...external.requestHeaders],
    sets: [...external.setHeaders],
    context: { ...external.context },
  });
}
