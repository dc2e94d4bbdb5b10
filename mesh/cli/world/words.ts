/** The words of the command line for clients, destinations and requests. Pure. */
import { z } from "zod";
import { parseIp } from "@hauberk/mesh/model/address.ts";
import type { Asker, Destination, Question } from "@hauberk/mesh/policy/question.ts";
import type { Asked } from "@hauberk/mesh/policy/verdict.ts";

const KINDS: Readonly<Record<string, Destination["kind"]>> = {
  po: "Pod",
  pod: "Pod",
  pods: "Pod",
  svc: "Service",
  service: "Service",
  services: "Service",
  srv: "Server",
  server: "Server",
  servers: "Server",
  ew: "ExternalWorkload",
  externalworkload: "ExternalWorkload",
  externalworkloads: "ExternalWorkload",
  cj: "Workload",
  cronjob: "Workload",
  cronjobs: "Workload",
  deploy: "Workload",
  deployment: "Workload",
  deployments: "Workload",
  ds: "Workload",
  daemonset: "Workload",
  daemonsets: "Workload",
  job: "Workload",
  jobs: "Workload",
  rs: "Workload",
  replicaset: "Workload",
  replicasets: "Workload",
  statefulset: "Workload",
  statefulsets: "Workload",
  sts: "Workload",
};

/** The kind that a word stands for, by kubectl's short names, too. */
export function kindOf(word: string): Destination["kind"] | undefined {
  const key = word.toLowerCase();
  return Object.hasOwn(KINDS, key) ? KINDS[key] : undefined;
}

/** `KIND/NAME[:PORT]`, as in `deploy/web:80` or `svc/web:http`. */
export function destinationOf(word: string, namespace: string): Destination | undefined {
  const [, kindWord = "", name, port] = /^([A-Za-z]+)\/([a-z0-9.-]+)(?::([a-z0-9-]+))?$/.exec(word) ?? [];
  const kind = kindOf(kindWord);
  if (kind === undefined || name === undefined) return undefined;
  const number = port !== undefined && /^\d+$/.test(port) ? Number(port) : port;
  return { kind, namespace, name, port: number };
}

/** `NAMESPACE/ACCOUNT`, an identity with dots or a SPIFFE ID, or `unmeshed`. */
export function askerOf(word: string): Asker | undefined {
  if (word === "unmeshed") return { type: "unmeshed" };
  if (word.includes("://")) return { type: "identity", identity: word };
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(word) ?? [];
  if (namespace !== undefined && name !== undefined) return { type: "account", account: { namespace, name } };
  return word.includes(".") && !word.includes("/") ? { type: "identity", identity: word } : undefined;
}

/** A request of which only some parts are given. */
export interface RequestWords {
  readonly method?: string | undefined;
  readonly path?: string | undefined;
  readonly host?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** The request that the words describe: GET of the root where they say nothing. */
export function askedOf({ method, path = "/", host, headers }: RequestWords): Asked {
  const [pathname = "/", ...query] = path.split("?");
  const fields = Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), [value]] as const);
  return {
    type: "request",
    request: {
      method: (method ?? "GET").toUpperCase(),
      authority: host ?? "",
      path: pathname,
      query: query.join("?"),
      headers: new Map(fields),
    },
  };
}

/** `NAME: VALUE` lines as headers. */
export const HeaderLines = z
  .array(z.string().regex(/^[^:\s]+:.*$/, "is not NAME: VALUE"))
  .default([])
  .transform((lines) =>
    Object.fromEntries(
      lines.map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at), line.slice(at + 1).trim()] as const;
      }),
    ),
  );

/** What is asked, from flags. */
export const QuestionWords = z
  .object({
    from: z.string(),
    ip: z.string().optional(),
    to: z.string(),
    namespace: z.string(),
    method: z.string().optional(),
    path: z.string().optional(),
    host: z.string().optional(),
    header: HeaderLines,
    bytes: z.boolean().default(false),
  })
  .transform(({ from, ip, to, namespace, header, bytes, ...request }, context): Question => {
    const refuse = (field: string, message: string): never => {
      context.addIssue({ code: "custom", path: [field], message });
      return z.NEVER;
    };
    const asker = askerOf(from);
    if (asker === undefined)
      return refuse("from", `${JSON.stringify(from)} is not NAMESPACE/ACCOUNT, an identity or unmeshed`);
    const destination = destinationOf(to, namespace);
    if (destination === undefined)
      return refuse("to", `${JSON.stringify(to)} is not KIND/NAME[:PORT], as in deploy/web:80`);
    const address = ip === undefined ? undefined : parseIp(ip);
    if (ip !== undefined && address === undefined) return refuse("ip", `${JSON.stringify(ip)} is no address`);
    const asked: Asked = bytes ? { type: "bytes" } : askedOf({ ...request, headers: header });
    return { from: asker, ip: address, to: destination, asked };
  });
