import { z } from "zod";
import { canonicalIp, parseCidr, type Cidr } from "../../model/address.ts";

const CidrText = z.string().transform((text, context): Cidr => {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return cidr;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not a network in CIDR notation` });
  return z.NEVER;
});

/** `{cidr, except}`, as NetworkAuthentication, ServerAuthorization and EgressNetwork write it. */
export const Network = z
  .object({ cidr: CidrText, except: z.array(CidrText).nullish() })
  .transform(({ cidr, except }) => ({ cidr, except: except ?? [] }));

/** An address, in its one spelling. */
export const Ip = z.string().transform((text, context): string => {
  const ip = canonicalIp(text);
  if (ip !== undefined) return ip;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not an IP address` });
  return z.NEVER;
});
