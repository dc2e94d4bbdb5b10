/** What TLSRoute and TCPRoute have in common: rules that only say where a connection goes. */
import { z } from "zod";
import type { ByteRule } from "../../model/route.ts";
import { Backend, backendOf } from "./route_refs.ts";

/** Most rules of a route and backends of a rule (Gateway API v1.2, TLSRoute and TCPRoute). */
const RULES_MAX = 16;

export const ByteRules = z
  .array(z.object({ backendRefs: z.array(Backend).max(RULES_MAX).nullish() }))
  .max(RULES_MAX)
  .nullish();

/** The rules, with every default filled in; a route without rules sends everything to its parent. */
export function byteRulesOf(rules: z.infer<typeof ByteRules>, namespace: string): readonly ByteRule[] {
  const read = (rules ?? []).map(({ backendRefs }) => ({
    backends: (backendRefs ?? []).map((backend) => ({ ...backendOf(backend, namespace), filters: [] })),
  }));
  return read.length > 0 ? read : [{ backends: [] }];
}
