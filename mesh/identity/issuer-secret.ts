/** The Secret `linkerd-identity-issuer` in both of its schemes: Linkerd's own, and that of Kubernetes and cert-manager. */
import { z } from "zod";

/** Most bytes of one value, as base64. A key is 300 bytes, a chain a few thousand. */
const VALUE_CHARS_MAX = 1024 * 1024;

/** How the values of the Secret are named. */
export type IssuerScheme = "linkerd.io/tls" | "kubernetes.io/tls";

const KEYS = {
  "linkerd.io/tls": { certificates: "crt.pem", privateKey: "key.pem" },
  "kubernetes.io/tls": { certificates: "tls.crt", privateKey: "tls.key" },
} as const;

/** What cert-manager says of an issuer's own authority: never trusted on that word alone. */
const AUTHORITY = "ca.crt";

/** The values of a Secret that make an issuer. */
export interface IssuerValues {
  readonly scheme: IssuerScheme;
  readonly certificates: string;
  readonly privateKey: string;
  /** `ca.crt`, if there is one. */
  readonly authority: string | undefined;
}

export type IssuerSecretVerdict =
  | { readonly ok: true; readonly values: IssuerValues }
  | { readonly ok: false; readonly detail: string };

const Secret = z.object({
  type: z.string().nullish(),
  data: z.record(z.string(), z.string().max(VALUE_CHARS_MAX)).nullish(),
});

/**
 * Reads a Secret. Its type decides how values are named; one of another type, as Linkerd's chart makes it, is read by the
 * names it has.
 */
export function readIssuerSecret(secret: unknown): IssuerSecretVerdict {
  const parsed = Secret.safeParse(secret);
  if (!parsed.success) return refuse("the object is no Secret");
  const data = parsed.data.data ?? {};
  const scheme = schemeOf(parsed.data.type ?? "", data);
  if (scheme === undefined) return refuse("data holds neither crt.pem and key.pem nor tls.crt and tls.key");
  const { certificates, privateKey } = KEYS[scheme];
  for (const key of [certificates, privateKey]) {
    if (textOf(data[key]) === undefined) return refuse(`data["${key}"] is missing or empty`);
  }
  return {
    ok: true,
    values: {
      scheme,
      certificates: textOf(data[certificates]) ?? "",
      privateKey: textOf(data[privateKey]) ?? "",
      authority: textOf(data[AUTHORITY]),
    },
  };
}

/** The Secret's `data` for an issuer in the scheme that it had before. */
export function writeIssuerData(
  scheme: IssuerScheme,
  issuer: { readonly certificates: string; readonly privateKey: string; readonly anchors: string },
): Readonly<Record<string, string>> {
  const { certificates, privateKey } = KEYS[scheme];
  return {
    [certificates]: encoded(issuer.certificates),
    [privateKey]: encoded(issuer.privateKey),
    ...(scheme === "kubernetes.io/tls" ? { [AUTHORITY]: encoded(issuer.anchors) } : {}),
  };
}

function encoded(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

function schemeOf(type: string, data: Readonly<Record<string, string>>): IssuerScheme | undefined {
  if (type === "kubernetes.io/tls" || type === "linkerd.io/tls") return type;
  if (data["crt.pem"] !== undefined || data["key.pem"] !== undefined) return "linkerd.io/tls";
  return data["tls.crt"] === undefined && data["tls.key"] === undefined ? undefined : "kubernetes.io/tls";
}

function textOf(value: string | undefined): string | undefined {
  const text = value === undefined ? "" : Buffer.from(value, "base64").toString("utf8");
  return text.trim() === "" ? undefined : text;
}

function refuse(detail: string): IssuerSecretVerdict {
  return { ok: false, detail };
}
