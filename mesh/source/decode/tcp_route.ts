import { z } from "zod";
import { ByteRules, byteRulesOf } from "./byte_rules.ts";
import { decoder } from "./kind.ts";
import { Parents, parentsOf } from "./route_refs.ts";

const GROUP = "gateway.networking.k8s.io";

const Body = z.object({ spec: z.object({ parentRefs: Parents, rules: ByteRules }) });

export const tcpRoute = decoder(
  { group: GROUP, kind: "TCPRoute", versions: ["v1alpha2", "v1alpha3", "v1"] },
  Body,
  (meta, { spec }) => ({
    kind: "TCPRoute",
    object: {
      meta,
      group: GROUP,
      parents: parentsOf(spec.parentRefs, { group: GROUP, namespace: meta.namespace }),
      rules: byteRulesOf(spec.rules, meta.namespace),
    },
  }),
);
