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

const Authentication = Reference.transform((reference, context) => {
  const kind = known(AUTHENTICATIONS, reference);
  if (kind !== undefined) return { kind, namespace: reference.namespace ?? undefined, name: reference.name };
  const message = `${reference.group ?? ""}/${reference.kind} is not a kind of authentication`;
  context.addIssue({ code: "custom", path: ["kind"], message });
  return z.NEVER;
});

const Body = z.object({
  spec: z.object({
    targetRef: Target,
    requiredAuthenticationRefs: z.array(Authentication).superRefine((references, context) => {
      const networks = references.filter(({ kind }) => kind === "NetworkAuthentication").length;
      if (networks > 1) context.addIssue({ code: "custom", message: "at most one NetworkAuthentication" });
      if (references.length - networks > 1) {
        context.addIssue({ code: "custom", message: "at most one MeshTLSAuthentication or ServiceAccount" });
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
      required: spec.requiredAuthenticationRefs.map(({ kind, namespace, name }) => ({
        kind,
        namespace: namespace ?? meta.namespace,
        name,
      })),
    },
  }),
);
