/** PKCS #12 containers (RFC 7292), opened by a process of their own: `forge-container.ts`. */
import { spawn } from "node:child_process";
import { getFips } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";

/** Longest wait for a container. Its author chose how often a password is hashed; a million rounds take a second. */
const OPEN_MS_MAX = 30_000;

/** What the process is asked. */
export type Ask = {
  /** The container in base64. */
  readonly container: string;
  readonly password: string;
};

/** What it answers; certificates and keys (PKCS #8) are base64 of DER, in the order of the container. */
export type Opened =
  | { readonly type: "opened"; readonly certificates: readonly string[]; readonly keys: readonly string[] }
  | { readonly type: "wrong_password" }
  | { readonly type: "damaged"; readonly detail: string }
  | { readonly type: "unsupported"; readonly detail: string };

/** What became of a container: opened, refused, or not touched because this process is in approved mode. */
export type Pkcs12Verdict = Opened | { readonly type: "fips_profile" };

/**
 * Opens a container. The password goes to the process through a pipe, never through its arguments. In approved mode
 * nothing is started: the container's ciphers are not the module's.
 */
export async function openPkcs12(
  container: Uint8Array,
  password: string,
  isApproved: boolean = getFips() === 1,
): Promise<Pkcs12Verdict> {
  if (isApproved) return { type: "fips_profile" };
  const child = spawn(process.execPath, [program()], {
    stdio: ["pipe", "pipe", "ignore"],
    timeout: OPEN_MS_MAX,
    env: {},
  });
  const ask: Ask = { container: Buffer.from(container).toString("base64"), password };
  // A process that does not start or ends early says so by what it does not answer.
  child.on("error", () => undefined);
  child.stdin.on("error", () => undefined);
  child.stdin.end(JSON.stringify(ask));
  const text = (await buffer(child.stdout)).toString("utf8");
  const answer: unknown = text === "" ? undefined : JSON.parse(text);
  return isOpened(answer)
    ? answer
    : { type: "unsupported", detail: `its reader gave no answer within ${OPEN_MS_MAX / 1000} s` };
}

/** In a release, programs lie beside each other as bundles. */
function program(): string {
  const bundled = join(import.meta.dirname, "forge-container.js");
  return existsSync(bundled) ? bundled : join(import.meta.dirname, "forge-container.ts");
}

function isOpened(value: unknown): value is Opened {
  if (typeof value !== "object" || value === null || !("type" in value)) return false;
  switch (value.type) {
    case "opened":
      return "certificates" in value && isTexts(value.certificates) && "keys" in value && isTexts(value.keys);
    case "wrong_password":
      return true;
    case "damaged":
    case "unsupported":
      return "detail" in value && typeof value.detail === "string";
    default:
      return false;
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
