import { z } from "zod";
import type { HeaderTest } from "../../model/authentication.ts";
import { HeaderName } from "./header_name.ts";
import { decoder, isGiven } from "./kind.ts";

const Text = z.string().max(1024);

/** What a proxy's regular expressions, whose time is linear in the text, do not have. */
const UNSUPPORTED = /\(\?(?:[=!]|<[=!])|\\[1-9k]/;

const Condition = z
  .object({
    name: HeaderName,
    type: z.enum(["Exact", "Prefix", "RegularExpression", "Present", "NotPresent"]).nullish(),
    value: Text.nullish(),
    values: z.array(Text).min(1).max(64).nullish(),
  })
  .transform(({ name, type, value, values }, context): { name: string; test: HeaderTest } => {
    const refuse = (path: string, message: string): never => {
      context.addIssue({ code: "custom", path: [path], message });
      return z.NEVER;
    };
    const given = [...(isGiven(value) ? [value] : []), ...(values ?? [])];
    if (isGiven(value) && isGiven(values)) return refuse("values", "value and values exclude each other");
    switch (type ?? "Exact") {
      case "Present":
      case "NotPresent": {
        if (given.length > 0) return refuse("value", `has no meaning for type ${type}`);
        return { name, test: { type: type === "NotPresent" ? "NotPresent" : "Present" } };
      }
      case "Exact":
      case "Prefix": {
        if (given.length === 0) return refuse("value", "is required");
        return { name, test: { type: type === "Prefix" ? "Prefix" : "Exact", values: given } };
      }
      case "RegularExpression": {
        const [pattern, ...others] = given;
        if (pattern === undefined || others.length > 0) return refuse("value", "one pattern is required");
        if (UNSUPPORTED.test(pattern)) return refuse("value", "lookaround and backreferences do not exist");
        return { name, test: { type: "RegularExpression", pattern } };
      }
    }
  });

export const headerAuthentication = decoder(
  { group: "policy.hauberk.io", kind: "HeaderAuthentication", versions: ["v1alpha1"] },
  z.object({ spec: z.object({ headers: z.array(Condition).min(1).max(32) }) }),
  (meta, { spec }) => ({ kind: "HeaderAuthentication", object: { meta, headers: spec.headers } }),
);
