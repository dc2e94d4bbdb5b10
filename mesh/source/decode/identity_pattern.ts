import { z } from "zod";

/** An identity to compare with: an exact one, `*` for any, or `*.suffix` for all below a name. */
export const IdentityPattern = z
  .string()
  .min(1)
  .max(300)
  .regex(/^(\*|(\*\.)?[^*\s]+)$/, "must be an identity, `*`, or `*.` and a suffix");
