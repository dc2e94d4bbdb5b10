/**
 * Which values an installation of the FIPS profile refuses, and why. Pure: it reads what it needs of the values and names
 * each one by its path.
 */
import { ALGORITHMS, FIPS_ALGORITHMS } from "@hauberk/crypto/algorithms.ts";
import { readCertificatesPem } from "@hauberk/crypto/certificate.ts";

/** The part of a control plane's values that the profile judges. */
export interface FipsValues {
  readonly identityTrustAnchorsPEM: string;
  readonly identity: PerComponent & {
    readonly issuer: { readonly tls: { readonly crtPEM: string } };
  };
  readonly destinationController: PerComponent;
  readonly proxyInjector: PerComponent;
  readonly proxy: { readonly additionalEnv: readonly Variable[] };
}

interface Variable {
  readonly name: string;
}

interface PerComponent {
  readonly additionalEnv: readonly Variable[];
}

/** A value that the profile does not take. */
export interface ValueRefusal {
  readonly path: string;
  readonly why: string;
}

/** Variables that would choose another module, or let a process out of approved mode. */
const OF_NODE = ["NODE_OPTIONS", "OPENSSL_CONF", "OPENSSL_MODULES", "HAUBERK_FIPS"];
const OF_PROXIES = ["HAUBERK_PROXY_FIPS", "LINKERD2_PROXY_FIPS", "LINKERD2_PROXY_IDENTITY_DISABLED"];
/** For the same, on either side: code that is loaded into a process before its own. */
const LOADED = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"];

const PERMITTED = [...FIPS_ALGORITHMS].join(" or ");

/** Everything in `values` that the profile refuses. Empty: it can be installed. */
export function refusals(values: FipsValues): readonly ValueRefusal[] {
  return [
    ...keys("identityTrustAnchorsPEM", values.identityTrustAnchorsPEM),
    ...keys("identity.issuer.tls.crtPEM", values.identity.issuer.tls.crtPEM),
    ...variables("proxy.additionalEnv", values.proxy.additionalEnv, [...OF_PROXIES, ...LOADED]),
    ...(["identity", "destinationController", "proxyInjector"] as const).flatMap((component) =>
      variables(`${component}.additionalEnv`, values[component].additionalEnv, [...OF_NODE, ...LOADED]),
    ),
  ];
}

/** Each refusal as the sentence that an operator reads. */
export function explain({ path, why }: ValueRefusal): string {
  return `${path}: ${why}`;
}

/** A variable that a pod or a value must not set, and why; `undefined` if it may. */
export function whyNotSet(name: string): string | undefined {
  return [...OF_PROXIES, ...OF_NODE, ...LOADED].includes(name)
    ? `${name} is set by the FIPS profile, which does not let it be set otherwise`
    : undefined;
}

function variables(
  path: string,
  given: readonly Variable[],
  refused: readonly string[],
): readonly ValueRefusal[] {
  return given
    .filter(({ name }) => refused.includes(name))
    .map(({ name }) => ({
      path,
      why: whyNotSet(name) ?? `${name} is not permitted`,
    }));
}

/** Keys and signatures of certificates. What cannot be read is refused elsewhere, by what needs it. */
function keys(path: string, pem: string): readonly ValueRefusal[] {
  if (pem.trim() === "") return [];
  try {
    return readCertificatesPem(pem).flatMap(({ publicKey, signatureAlgorithm }, at) =>
      [...new Set([publicKey.algorithm, signatureAlgorithm])]
        .filter(({ name }) => !FIPS_ALGORITHMS.has(name))
        .map(({ name }) => ({
          path,
          why: `certificate ${at + 1} is of ${name}, and the FIPS profile permits ${PERMITTED}`,
        })),
    );
  } catch (cause) {
    const known = Object.keys(ALGORITHMS).join(", ");
    const said = cause instanceof Error ? cause.message : String(cause);
    return [{ path, why: `cannot be judged (${said}); of ${known}, the FIPS profile permits ${PERMITTED}` }];
  }
}
