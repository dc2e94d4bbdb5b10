import { z } from "zod";
import type { Requirement } from "../../model/selector.ts";

const Expression = z.discriminatedUnion("operator", [
  z.object({ operator: z.enum(["In", "NotIn"]), key: z.string().min(1), values: z.array(z.string()).min(1) }),
  z.object({ operator: z.enum(["Exists", "DoesNotExist"]), key: z.string().min(1) }),
]);

/** A Kubernetes `LabelSelector`. */
export const LabelSelector = z
  .object({
    matchLabels: z.record(z.string(), z.string()).nullish(),
    matchExpressions: z.array(Expression).nullish(),
  })
  .transform(({ matchLabels, matchExpressions }) => {
    const requirements: readonly Requirement[] = matchExpressions ?? [];
    return { matchLabels: matchLabels ?? {}, matchExpressions: requirements };
  });
