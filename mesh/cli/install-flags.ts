/** The flags of install and upgrade that are values under another name, and the files that hold values. */
import { readFile } from "node:fs/promises";
import { Flags } from "@oclif/core";
import { z } from "zod";
import { parseValuesFile } from "@hauberk/mesh/install/values/file.ts";
import { parseSet } from "@hauberk/mesh/install/values/set.ts";
import {
  FIPS,
  HIGH_AVAILABILITY,
  STRICT,
  ValuesError,
  mergeTrees,
  type Tree,
} from "@hauberk/mesh/install/values/values.ts";

/** Flags as Linkerd has them, and the value that each one sets. */
const PATHS = {
  "admin-port": { path: "proxy.ports.admin", number: true, summary: "Port of proxies' metrics and health." },
  "cluster-domain": { path: "clusterDomain", summary: "DNS domain of the cluster." },
  "cluster-networks": { path: "clusterNetworks", summary: "Networks of pods and services." },
  "control-port": { path: "proxy.ports.control", number: true, summary: "Port of proxies' taps." },
  "controller-gid": { path: "controllerGID", number: true, summary: "Group that the control plane runs as." },
  "controller-log-level": { path: "controllerLogLevel", summary: "How much the control plane logs." },
  "controller-replicas": { path: "controllerReplicas", number: true, summary: "Pods of each component." },
  "controller-uid": { path: "controllerUID", number: true, summary: "User that the control plane runs as." },
  "default-inbound-policy": {
    path: "proxy.defaultInboundPolicy",
    summary: "What is allowed where no Server says anything.",
  },
  "identity-clock-skew-allowance": {
    path: "identity.issuer.clockSkewAllowance",
    summary: "How far clocks may be apart.",
  },
  "identity-issuance-lifetime": {
    path: "identity.issuer.issuanceLifetime",
    summary: "How long proxies' certificates are good for.",
  },
  "identity-trust-domain": {
    path: "identityTrustDomain",
    summary: "Trust domain; the cluster's domain otherwise.",
  },
  "image-pull-policy": { path: "imagePullPolicy", summary: "When images are pulled." },
  "inbound-port": {
    path: "proxy.ports.inbound",
    number: true,
    summary: "Port of proxies for connections to the application.",
  },
  "outbound-port": {
    path: "proxy.ports.outbound",
    number: true,
    summary: "Port of proxies for connections of the application.",
  },
  "proxy-cpu-limit": { path: "proxy.resources.cpu.limit", summary: "Most CPU of a proxy." },
  "proxy-cpu-request": { path: "proxy.resources.cpu.request", summary: "CPU that a proxy asks for." },
  "proxy-gid": { path: "proxy.gid", number: true, summary: "Group that proxies run as." },
  "proxy-image": { path: "proxy.image.name", summary: "Image of the proxy." },
  "proxy-log-level": { path: "proxy.logLevel", summary: "What proxies log." },
  "proxy-memory-limit": { path: "proxy.resources.memory.limit", summary: "Most memory of a proxy." },
  "proxy-memory-request": {
    path: "proxy.resources.memory.request",
    summary: "Memory that a proxy asks for.",
  },
  "proxy-uid": { path: "proxy.uid", number: true, summary: "User that proxies run as." },
  "proxy-version": { path: "proxy.image.version", summary: "Tag of the proxy's image." },
  "skip-inbound-ports": {
    path: "proxyInit.ignoreInboundPorts",
    summary: "Ports whose clients come past the proxy.",
  },
  "skip-outbound-ports": {
    path: "proxyInit.ignoreOutboundPorts",
    summary: "Ports to which applications go past the proxy.",
  },
} as const satisfies Readonly<
  Record<string, { readonly path: string; readonly number?: true; readonly summary: string }>
>;

const HELP = "VALUES";

export const valueFlags = {
  ...Object.fromEntries(
    Object.entries(PATHS).map(([name, { summary }]) => [name, Flags.string({ summary, helpGroup: HELP })]),
  ),
  "enable-external-profiles": Flags.boolean({
    summary: "Ask for profiles of outside names.",
    helpGroup: HELP,
  }),
  "disable-h2-upgrade": Flags.boolean({ summary: "Leave HTTP/1 as it is between proxies.", helpGroup: HELP }),
  "linkerd-cni-enabled": Flags.boolean({ summary: "The CNI plugin redirects connections.", helpGroup: HELP }),
  "identity-external-ca": Flags.boolean({ summary: "Trust anchors are made elsewhere.", helpGroup: HELP }),
  "identity-external-issuer": Flags.boolean({ summary: "The issuer is made elsewhere.", helpGroup: HELP }),
  "identity-issuer-certificate-file": Flags.string({ summary: "PEM file of the issuer.", helpGroup: HELP }),
  "identity-issuer-key-file": Flags.string({ summary: "PEM file of the issuer's key.", helpGroup: HELP }),
  "identity-trust-anchors-file": Flags.string({ summary: "PEM file of the trust anchors.", helpGroup: HELP }),
  "identity-issuer-file": Flags.string({
    summary: "Issuer with its key and chain: PKCS #12 or PEM, and anchors unless their file is given.",
    helpGroup: HELP,
  }),
  "identity-issuer-password-file": Flags.string({
    summary: "File that holds its password; asked for otherwise.",
    helpGroup: HELP,
  }),
  registry: Flags.string({ summary: "Where images come from: a prefix of their names.", helpGroup: HELP }),
  ha: Flags.boolean({ summary: "Three replicas, apart, and webhooks that fail closed.", helpGroup: HELP }),
  strict: Flags.boolean({
    summary: "Nobody is let in whom no policy names, and webhooks fail closed.",
    helpGroup: HELP,
  }),
  fips: Flags.boolean({
    summary: "Only approved cryptography: FIPS images, and nothing is ready that is not in approved mode.",
    helpGroup: HELP,
  }),
  values: Flags.string({
    char: "f",
    summary: "File of values; may be given again.",
    multiple: true,
    helpGroup: HELP,
  }),
  set: Flags.string({ summary: "NAME=VALUE; may be given again.", multiple: true, helpGroup: HELP }),
  "set-string": Flags.string({ summary: "NAME=TEXT; may be given again.", multiple: true, helpGroup: HELP }),
  "set-file": Flags.string({ summary: "NAME=FILE; may be given again.", multiple: true, helpGroup: HELP }),
};

const Optional = z.string().min(1).optional();
const Several = z.array(z.string().min(1)).default([]);
const Flag = z.boolean().default(false);

const Named = z.object({
  "enable-external-profiles": Flag,
  "disable-h2-upgrade": Flag,
  "linkerd-cni-enabled": Flag,
  "identity-external-ca": Flag,
  "identity-external-issuer": Flag,
  "identity-issuer-certificate-file": Optional,
  "identity-issuer-key-file": Optional,
  "identity-trust-anchors-file": Optional,
  "identity-issuer-file": Optional,
  "identity-issuer-password-file": Optional,
  registry: Optional,
  ha: Flag,
  strict: Flag,
  fips: Flag,
  values: Several,
  set: Several,
  "set-string": Several,
  "set-file": Several,
});
type Named = z.infer<typeof Named>;

type AnyFlags = Readonly<Record<string, unknown>>;

/** The flags that are no values, for the command's own strict schema. */
export function otherFlags(flags: AnyFlags): AnyFlags {
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !(name in valueFlags)));
}

/** What the flags set, as one tree: mode, files in order, flags, and `--set` last. */
export async function valuesOf(flags: AnyFlags): Promise<Tree> {
  const named = Named.parse(flags);
  const layers = [
    ...(named.ha ? [HIGH_AVAILABILITY] : []),
    ...(named.strict ? [STRICT] : []),
    ...(named.fips ? [FIPS] : []),
    ...(await Promise.all(named.values.map(readValues))),
    byName(flags),
    byFlag(named),
    await fromFiles(named),
  ];
  let tree = layers.reduce(mergeTrees, {});
  for (const option of named.set) tree = parseSet(option, { typed: true }, tree);
  for (const option of named["set-string"]) tree = parseSet(option, { typed: false }, tree);
  for (const option of named["set-file"]) tree = await setFile(option, tree);
  return tree;
}

/** Sets one value, whatever it holds. */
function at(path: string, value: unknown): Tree {
  const [key = "", ...below] = path.split(".");
  return { [key]: below.length === 0 ? value : at(below.join("."), value) };
}

function byName(flags: AnyFlags): Tree {
  const trees = Object.entries(PATHS).map(([name, { path, ...rest }]): Tree => {
    const given = Optional.parse(flags[name]);
    if (given === undefined) return {};
    if (!("number" in rest)) return at(path, given);
    if (!/^-?\d{1,9}$/.test(given)) throw new ValuesError([`--${name}: ${given} is no number`]);
    return at(path, Number(given));
  });
  return trees.reduce(mergeTrees, {});
}

function byFlag(named: Named): Tree {
  const set = (isSet: boolean, path: string, value: unknown): Tree => (isSet ? at(path, value) : {});
  const { registry } = named;
  return [
    set(named["enable-external-profiles"], "proxy.enableExternalProfiles", true),
    set(named["disable-h2-upgrade"], "enableH2Upgrade", false),
    set(named["linkerd-cni-enabled"], "cniEnabled", true),
    set(named["identity-external-ca"], "identity.externalCA", true),
    set(named["identity-external-issuer"], "identity.issuer.scheme", "kubernetes.io/tls"),
    ...(registry === undefined
      ? []
      : [
          at("controllerImage", `${registry}/controller`),
          at("proxy.image.name", `${registry}/proxy`),
          at("debugContainer.image.name", `${registry}/debug`),
        ]),
  ].reduce(mergeTrees, {});
}

/** One file for the issuer, its key, its chain and, unless they have a file of their own, the anchors. */
async function fromIssuerFile(named: Named, file: string): Promise<Tree> {
  for (const other of ["identity-issuer-certificate-file", "identity-issuer-key-file"] as const) {
    if (named[other] !== undefined)
      throw new ValuesError([`--${other}: --identity-issuer-file holds it already`]);
  }
  const { openIssuerFile, IssuerFileError } = await import("./issuer-file.ts");
  try {
    const { pem } = await openIssuerFile(
      {
        file,
        passwordFile: named["identity-issuer-password-file"],
        rootFile: named["identity-trust-anchors-file"],
      },
      { nowMs: Date.now(), warn: (sentence) => process.stderr.write(`Warning: ${sentence}\n`) },
    );
    return {
      identityTrustAnchorsPEM: pem.anchors,
      identity: { issuer: { tls: { crtPEM: pem.certificates, keyPEM: pem.privateKey } } },
    };
  } catch (error) {
    if (error instanceof IssuerFileError) throw new ValuesError([`--identity-issuer-file: ${error.message}`]);
    throw error;
  }
}

async function fromFiles(named: Named): Promise<Tree> {
  const issuerFile = named["identity-issuer-file"];
  if (issuerFile !== undefined) return fromIssuerFile(named, issuerFile);
  if (named["identity-issuer-password-file"] !== undefined)
    throw new ValuesError([
      "--identity-issuer-password-file: is of --identity-issuer-file, which is not given",
    ]);
  const files = [
    ["identity-trust-anchors-file", "identityTrustAnchorsPEM"],
    ["identity-issuer-certificate-file", "identity.issuer.tls.crtPEM"],
    ["identity-issuer-key-file", "identity.issuer.tls.keyPEM"],
  ] as const;
  const trees = await Promise.all(
    files.map(async ([flag, path]) => {
      const file = named[flag];
      return file === undefined ? {} : at(path, await readFile(file, "utf8"));
    }),
  );
  return trees.reduce(mergeTrees, {});
}

async function setFile(option: string, tree: Tree): Promise<Tree> {
  const [name, file] = [option.slice(0, option.indexOf("=")), option.slice(option.indexOf("=") + 1)];
  const content = (await readFile(file, "utf8")).replaceAll(/[\\,{}]/g, String.raw`\$&`);
  return parseSet(`${name}=${content}`, { typed: false }, tree);
}

async function readValues(file: string): Promise<Tree> {
  return parseValuesFile(await readFile(file, "utf8"), `--values ${file}`);
}
