/** MeshTLSAuthentication and NetworkAuthentication. */
import { z } from "zod";
import { IdentityPattern } from "./identity_pattern.ts";
import { coreGroup, decoder } from "./kind.ts";
import { Network } from "./network.ts";

const IdentityRef = z
  .object({
    group: z.string().nullish(),
    kind: z.enum(["ServiceAccount", "Namespace"]),
    name: z.string().min(1),
    namespace: z.string().nullish(),
  })
  .refine((reference) => coreGroup(reference.group ?? "") === "", {
    path: ["group"],
    message: "must be the core group",
  });

const MeshTls = z.object({
  spec: z
    .object({
      identities: z.array(IdentityPattern).min(1).nullish(),
      identityRefs: z.array(IdentityRef).min(1).nullish(),
    })
    .refine((spec) => Boolean(spec.identities) !== Boolean(spec.identityRefs), {
      path: ["identities"],
      message: "exactly one of identities and identityRefs is required",
    }),
});

export const meshTlsAuthentication = decoder(
  { group: "policy.linkerd.io", kind: "MeshTLSAuthentication", versions: ["v1alpha1"] },
  MeshTls,
  (meta, { spec }) => {
    const references = spec.identityRefs ?? [];
    return {
      kind: "MeshTLSAuthentication",
      object: {
        meta,
        identities: spec.identities ?? [],
        accounts: references
          .filter(({ kind }) => kind === "ServiceAccount")
          .map(({ namespace, name }) => ({ namespace: namespace ?? meta.namespace, name })),
        namespaces: references.filter(({ kind }) => kind === "Namespace").map(({ name }) => name),
      },
    };
  },
);

export const networkAuthentication = decoder(
  { group: "policy.linkerd.io", kind: "NetworkAuthentication", versions: ["v1alpha1"] },
  z.object({ spec: z.object({ networks: z.array(Network).min(1) }) }),
  (meta, { spec }) => ({ kind: "NetworkAuthentication", object: { meta, networks: spec.networks } }),
);
