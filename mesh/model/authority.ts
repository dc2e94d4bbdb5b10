/** The names and addresses that proxies ask about. Pure. */
import { parseIp, type IpAddress } from "./address.ts";
import type { NamespacedName } from "./meta.ts";
import { isPort } from "./ports.ts";

export type Authority =
  | { readonly type: "ip"; readonly ip: IpAddress; readonly port: number }
  /** `hostname` names one pod of a headless service, as in `db-0.db.shop.svc.cluster.local`. */
  | {
      readonly type: "service";
      readonly service: NamespacedName;
      readonly hostname: string | undefined;
      readonly port: number;
    }
  /** A name that is not of the cluster. */
  | { readonly type: "foreign"; readonly host: string; readonly port: number };

/** The port of an authority without one. */
const PORT_DEFAULT = 80;

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Parses `host[:port]`, with IPv6 addresses in brackets; `undefined` if it is neither name nor address. */
export function parseAuthority(text: string, clusterDomain: string): Authority | undefined {
  const [, host, port] = /^(\[[^\]]*\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (host === undefined) return undefined;
  const number = port === undefined ? PORT_DEFAULT : Number(port);
  if (!isPort(number)) return undefined;
  const ip = parseIp(host.replace(/^\[|\]$/g, ""));
  if (ip !== undefined) return { type: "ip", ip, port: number };
  if (host.startsWith("[")) return undefined;
  return parseName(host.toLowerCase().replace(/\.$/, ""), clusterDomain, number);
}

function parseName(host: string, clusterDomain: string, port: number): Authority | undefined {
  // An empty label is no label; `a..` would be one name here and another where its dot is dropped again.
  if (host.length > 253 || host.split(".").includes("")) return undefined;
  // `192.0.2.1.` is no address, and no name that anybody could mean.
  if (parseIp(host) !== undefined) return undefined;
  const suffix = `.svc.${clusterDomain}`;
  if (!host.endsWith(suffix)) return { type: "foreign", host, port };
  const labels = host.slice(0, -suffix.length).split(".");
  const [name, namespace] = labels.slice(-2);
  const hostname = labels.length === 3 ? labels[0] : undefined;
  if (labels.length > 3 || name === undefined || namespace === undefined) return undefined;
  if (!labels.every((label) => LABEL.test(label))) return undefined;
  return { type: "service", service: { namespace, name }, hostname, port };
}

/** The full name of a service. */
export function serviceName({ namespace, name }: NamespacedName, clusterDomain: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}
