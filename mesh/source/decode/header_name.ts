import { z } from "zod";

/** Headers that belong to a connection, to the mesh or to the proxy, which no policy may read or write. */
const RESERVED: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** A header that a policy may speak of, in lower case. */
export const HeaderName = z
  .string()
  .max(128)
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "is no header name")
  .transform((name) => name.toLowerCase())
  .refine((name) => !RESERVED.has(name) && !/^l5d[-_]/.test(name), {
    message: "is a header of the connection or of the mesh, which no policy can speak of",
  });
