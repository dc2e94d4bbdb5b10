import { z } from "zod";
import { parsePorts, type PortSet } from "../../model/ports.ts";
import { decoder, type Issue } from "./kind.ts";

const Body = z.object({
  spec: z
    .object({
      opaquePorts: z
        .array(z.union([z.string(), z.number()]))
        .nullish()
        .transform((ports, context): PortSet => {
          const parsed = parsePorts((ports ?? []).join(","));
          for (const bad of parsed.bad) {
            context.addIssue({
              code: "custom",
              message: `${JSON.stringify(bad)} is neither a port nor a range`,
            });
          }
          return parsed.ports;
        }),
      routes: z.array(z.unknown()).nullish(),
      retryBudget: z.unknown().optional(),
      dstOverrides: z.array(z.unknown()).nullish(),
    })
    .nullish(),
});

/** Parts of a profile that are read and have no effect yet. */
function unhonoured({ spec }: z.infer<typeof Body>): readonly Issue[] {
  const message = "is not honoured yet; write an HTTPRoute or the retry and timeout annotations instead";
  const present: readonly (readonly [string, boolean])[] = [
    ["routes", (spec?.routes ?? []).length > 0],
    ["retryBudget", spec?.retryBudget !== null && spec?.retryBudget !== undefined],
    ["dstOverrides", (spec?.dstOverrides ?? []).length > 0],
  ];
  return present.filter(([, isPresent]) => isPresent).map(([field]) => ({ path: ["spec", field], message }));
}

export const serviceProfile = decoder(
  { group: "linkerd.io", kind: "ServiceProfile", versions: ["v1alpha1", "v1alpha2"] },
  Body,
  (meta, { spec }) => ({ kind: "ServiceProfile", object: { meta, opaquePorts: spec?.opaquePorts ?? [] } }),
  unhonoured,
);
