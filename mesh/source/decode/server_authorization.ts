import { z } from "zod";
import type { Clients } from "../../model/policy.ts";
import { IdentityPattern } from "./identity_pattern.ts";
import { decoder, isGiven } from "./kind.ts";
import { Network } from "./network.ts";
import { LabelSelector } from "./selector.ts";

const Account = z.object({ name: z.string().min(1), namespace: z.string().nullish() });

const MeshTls = z
  .object({
    unauthenticatedTLS: z.boolean().nullish(),
    identities: z.array(IdentityPattern).nullish(),
    serviceAccounts: z.array(Account).nullish(),
  })
  .refine(
    ({ unauthenticatedTLS, identities, serviceAccounts }) =>
      unauthenticatedTLS !== true || [...(identities ?? []), ...(serviceAccounts ?? [])].length === 0,
    { path: ["unauthenticatedTLS"], message: "must not be true beside identities or serviceAccounts" },
  );

const Which = z
  .object({ name: z.string().min(1).nullish(), selector: LabelSelector.nullish() })
  .transform(({ name, selector }, context) => {
    if (isGiven(name) && !isGiven(selector)) return { name };
    if (isGiven(selector) && !isGiven(name)) return { selector };
    context.addIssue({ code: "custom", message: "exactly one of name and selector is required" });
    return z.NEVER;
  });

const Body = z.object({
  spec: z.object({
    server: Which,
    client: z
      .object({
        networks: z.array(Network).nullish(),
        unauthenticated: z.boolean().nullish(),
        meshTLS: MeshTls.nullish(),
      })
      .refine((client) => client.unauthenticated === true || client.meshTLS, {
        message: "one of unauthenticated and meshTLS is required",
      })
      .refine((client) => !(client.unauthenticated === true && client.meshTLS), {
        path: ["unauthenticated"],
        message: "must not be true beside meshTLS",
      }),
  }),
});

function clientsOf(client: z.infer<typeof Body>["spec"]["client"], namespace: string): Clients {
  if (client.unauthenticated === true) return { type: "unauthenticated" };
  if (client.meshTLS?.unauthenticatedTLS === true) return { type: "tls-unauthenticated" };
  return {
    type: "identities",
    identities: client.meshTLS?.identities ?? [],
    accounts: (client.meshTLS?.serviceAccounts ?? []).map((account) => ({
      namespace: account.namespace ?? namespace,
      name: account.name,
    })),
  };
}

export const serverAuthorization = decoder(
  { group: "policy.linkerd.io", kind: "ServerAuthorization", versions: ["v1alpha1", "v1beta1"] },
  Body,
  (meta, { spec }) => ({
    kind: "ServerAuthorization",
    object: {
      meta,
      server: spec.server,
      networks: spec.client.networks ?? undefined,
      clients: clientsOf(spec.client, meta.namespace),
    },
  }),
);
