import { z } from "zod";
import { canonicalIp } from "../../model/address.ts";
import { ByteRules, byteRulesOf } from "./byte_rules.ts";
import { decoder } from "./kind.ts";
import { Hostname, Parents, parentsOf } from "./route_refs.ts";

const GROUP = "gateway.networking.k8s.io";

/** A server name is never an address (RFC 6066 §3): a route for one would match nothing. */
const ServerName = Hostname.refine(
  (host) => host.type === "suffix" || canonicalIp(host.host) === undefined,
  "is an address, which no ClientHello names",
);

const Body = z.object({
  spec: z.object({
    parentRefs: Parents,
    hostnames: z.array(ServerName).max(16).nullish(),
    rules: ByteRules,
  }),
});

export const tlsRoute = decoder(
  { group: GROUP, kind: "TLSRoute", versions: ["v1alpha2", "v1alpha3", "v1"] },
  Body,
  (meta, { spec }) => ({
    kind: "TLSRoute",
    object: {
      meta,
      group: GROUP,
      hosts: spec.hostnames ?? [],
      parents: parentsOf(spec.parentRefs, { group: GROUP, namespace: meta.namespace }),
      rules: byteRulesOf(spec.rules, meta.namespace),
    },
  }),
);
