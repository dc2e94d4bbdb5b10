/**
 * The OpenSSL FIPS provider for Node: how it is built from the source in its crate, and the settings under which a process
 * loads it and nothing else. Pure; `main.ts` runs it.
 */
import { createHmac } from "node:crypto";
import type { NodeChoice } from "./claims.ts";

/** The key of the integrity check, which is public: it is in every provider (`FIPS_KEY_STRING` of `openssl/fipskey.h`). */
const INTEGRITY_KEY = "f4556650ac31d35461610bac4ed81b1a181b2d8a43ea2854cbae22ca74560813";

/** Where images have the provider of a choice. */
export const PROVIDERS_AT = "/opt/hauberk/fips";

/** What TLS may use in a process of the control plane. Its mesh traffic is its proxy's; this is of webhooks and the API. */
const TLS_GROUPS: Readonly<Record<NodeChoice, string>> = {
  certified: "P-256:P-384",
  hybrid: "X25519MLKEM768:SecP256r1MLKEM768:P-256:P-384",
};
const TLS_SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

/** The value of `module-mac`: HMAC-SHA-256 over the provider, checked each time that it is loaded. */
export function moduleMac(provider: Uint8Array): string {
  const digits = createHmac("sha256", Buffer.from(INTEGRITY_KEY, "hex")).update(provider).digest("hex");
  return (digits.toUpperCase().match(/../g) ?? []).join(":");
}

/**
 * Settings under which only approved algorithms are found. There is no `install-status`: the provider runs all its
 * self-tests each time that it is loaded, since no machine is known on which it was installed.
 */
export function settingsFor(choice: NodeChoice, provider: Uint8Array): string {
  return `# Written with the provider beside it, whose integrity it states.
nodejs_conf = start
openssl_conf = start

[start]
providers = providers
alg_section = algorithms
ssl_conf = tls

[providers]
base = base
fips = fips

[base]
activate = 1

[fips]
activate = 1
conditional-errors = 1
security-checks = 1
module-mac = ${moduleMac(provider)}

[algorithms]
default_properties = fips=yes

[tls]
system_default = every

[every]
MinProtocol = TLSv1.2
Groups = ${TLS_GROUPS[choice]}
Ciphersuites = ${TLS_SUITES}
`;
}

/** Variables with which a Node process is in approved mode from its start, and cannot leave it. */
export function environmentFor(
  choice: NodeChoice,
  at: string = PROVIDERS_AT,
): Readonly<Record<string, string>> {
  return {
    NODE_OPTIONS: `--force-fips --openssl-config=${at}/${choice}/openssl.cnf`,
    OPENSSL_MODULES: `${at}/${choice}`,
    HAUBERK_FIPS: choice,
  };
}

/** OpenSSL's name of an architecture, by Node's. */
export const TARGETS: Readonly<Record<string, string>> = { x64: "linux-x86_64", arm64: "linux-aarch64" };

/** Files that the crate of 3.5.4 lacks and that of 3.1.2 has: they write the list of exported symbols, and no algorithm. */
const LACKING = ["util/mkdef.pl", "util/providers.num"] as const;

/** Where things are for a build; all of it ends up in `sh`. */
export interface ProviderPlaces {
  /** The crate's folder. */
  readonly crate: string;
  /** The crate of 3.1.2, for what that of 3.5.4 lacks. */
  readonly certified: string;
  readonly work: string;
  readonly target: string;
}

/** The commands that leave `providers/fips.so` below `work/openssl`. */
export function buildScript(choice: NodeChoice, { crate, certified, work, target }: ProviderPlaces): string {
  return [
    "set -eu",
    `cp -r '${crate}/openssl' '${work}/openssl'`,
    `cd '${work}/openssl'`,
    "chmod -R u+w .",
    ...(choice === "hybrid"
      ? LACKING.map((file) => `[ -e ${file} ] || cp '${certified}/openssl/${file}' ${file}`)
      : []),
    `./Configure ${target} enable-fips no-tests --prefix=/usr --openssldir=/etc/ssl`,
    "make build_generated",
    "make providers/fips.so",
    "strip --strip-unneeded providers/fips.so",
  ].join("\n");
}
