import { z } from "zod";
import { coreGroup, decoder } from "./kind.ts";

const Reference = z.object({
  group: z.string().nullish(),
  kind: z.string().min(1),
  name: z.string().min(1),
  namespace: z.string().nullish(),
});

/** Every `group/kind` that a policy may speak of. */
const TARGETS = {
  "policy.linkerd.io/Server": "Server",
  "policy.linkerd.io/HTTPRoute": "HTTPRoute",
  "gateway.networking.k8s.io/HTTPRoute": "HTTPRoute",
  "gateway.networking.k8s.io/GRPCRoute": "GRPCRoute",
  "/Namespace": "Namespace",
} as const;

const AUTHENTICATIONS = {
  "policy.hauberk.io/ExternalAuthorization": "ExternalAuthorization",
  "policy.hauberk.io/HeaderAuthentication": "HeaderAuthentication",
  "policy.hauberk.io/JWTAuthentication": "JWTAuthentication",
  "policy.linkerd.io/MeshTLSAuthentication": "MeshTLSAuthentication",
  "policy.linkerd.io/NetworkAuthentication": "NetworkAuthentication",
  "/ServiceAccount": "ServiceAccount",
} as const;

/** Looks `group/kind` up without regard to how the core group is written. */
function known<T>(table: Readonly<Record<string, T>>, reference: z.infer<typeof Reference>): T | undefined {
  const key = `${coreGroup(reference.group ?? "")}/${reference.kind}`;
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

const Target = Reference.transform((reference, context) => {
  const kind = known(TARGETS, reference);
  if (kind !== undefined) return { group: coreGroup(reference.group ?? ""), kind, name: reference.name };
  const message = `${reference.group ?? ""}/${reference.kind} is not a kind that a policy can target`;
  context.addIssue({ code: "custom", path: ["kind"], message });
  return z.NEVER;
});

/** An unknown kind stays in the policy, as something that nobody can meet: left out, it would let more people in. */
const Authentication = Reference.transform((reference) => ({
  kind: known(AUTHENTICATIONS, reference) ?? ("Unknown" as const),
  written: [coreGroup(reference.group ?? ""), reference.kind].filter((part) => part !== "").join("/"),
  namespace: reference.namespace ?? undefined,
  name: reference.name,
}));

type Authentication = z.output<typeof Authentication>;

/** How many of these kinds a policy may require; of the others, any number. */
const AT_MOST_ONE: readonly (readonly Authentication["kind"][])[] = [
  ["NetworkAuthentication"],
  ["MeshTLSAuthentication", "ServiceAccount"],
  ["JWTAuthentication"],
  ["ExternalAuthorization"],
];

const Body = z.object({
  spec: z.object({
    targetRef: Target,
    requiredAuthenticationRefs: z.array(Authentication).superRefine((references, context) => {
      for (const kinds of AT_MOST_ONE) {
        if (references.filter(({ kind }) => kinds.includes(kind)).length <= 1) continue;
        context.addIssue({ code: "custom", message: `at most one ${kinds.join(" or ")}` });
      }
    }),
  }),
});

export const authorizationPolicy = decoder(
  { group: "policy.linkerd.io", kind: "AuthorizationPolicy", versions: ["v1alpha1"] },
  Body,
  (meta, { spec }) => ({
    kind: "AuthorizationPolicy",
    object: {
      meta,
      target: spec.targetRef,
      required: spec.requiredAuthenticationRefs.map(({ kind, written, namespace, name }) => ({
        kind,
        written,
        namespace: namespace ?? meta.namespace,
        name,
      })),
    },
  }),
  ({ spec }) =>
    spec.requiredAuthenticationRefs.flatMap(({ kind, written }, at) =>
      kind === "Unknown"
        ? [
            {
              path: ["spec", "requiredAuthenticationRefs", at, "kind"],
              message: `${written} is not a kind of authentication; the policy admits nobody`,
            },
          ]
        : [],
    ),
);
