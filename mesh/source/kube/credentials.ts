/**
 * Where the API server is and how to prove who we are: a pod's service account, or a kubeconfig.
 *
 * A pod's account is read here, in a few lines, because the library that reads kubeconfigs brings all types of Kubernetes
 * with it and would cost the control plane 80 MB; it is loaded only when there is a kubeconfig to read.
 */
import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { Agent, ProxyAgent, type Dispatcher } from "undici";
import { KUBE_REASON, KubeError } from "./error.ts";

/** Who to talk to. Flags of the command line, or nothing at all: `KUBECONFIG`, `~/.kube/config`, then the pod's account. */
export interface ConnectOptions {
  /** Path of a kubeconfig; `in-cluster` insists on the pod's service account. */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Where the pod's service account is mounted, if not where Kubernetes mounts it. */
  readonly accountDir?: string | undefined;
  /** User to impersonate, and its groups. */
  readonly as?: string | undefined;
  readonly asGroups?: readonly string[] | undefined;
}

/** What one call needs. */
export interface Authorized {
  readonly dispatcher: Dispatcher;
  readonly headers: Readonly<Record<string, string | string[]>>;
}

/** A way to an API server. */
export interface Credentials {
  /** Without a trailing slash. */
  readonly server: string;
  /** Namespace of the context or the pod. */
  readonly namespace: string;
  /** Credentials as they are now: tokens and client certificates may have been renewed. */
  readonly authorize: () => Promise<Authorized>;
  readonly close: () => Promise<void>;
}

/** Value of `kubeconfig` that insists on the pod's own account. */
export const IN_CLUSTER = "in-cluster";

const ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";
/** How long a token that was read is used. The kubelet renews it long before its end. */
const TOKEN_AGE_MS = 30_000;
/** Silence after which the kernel asks whether the server is still there. */
const KEEP_ALIVE_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;

function bad(message: string, cause?: unknown): KubeError {
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new KubeError({ status: 0, reason: KUBE_REASON.config }, `${message}${why}`, { cause });
}

interface Tls {
  readonly ca?: RequestOptions["ca"];
  readonly cert?: RequestOptions["cert"];
  readonly key?: RequestOptions["key"];
  readonly passphrase?: RequestOptions["passphrase"];
  readonly rejectUnauthorized?: RequestOptions["rejectUnauthorized"];
  readonly servername?: RequestOptions["servername"];
}

function agent(tls: Tls): Agent {
  const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  return new Agent({
    connect: {
      ...given,
      timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    },
  });
}

/** The service account of the pod we run in. `dir` and `environment` are arguments for tests. */
export async function podCredentials(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  dir = ACCOUNT_DIR,
): Promise<Credentials> {
  const host = environment["KUBERNETES_SERVICE_HOST"];
  const port = environment["KUBERNETES_SERVICE_PORT"] ?? "443";
  if (host === undefined || host === "")
    throw bad("not in a pod: KUBERNETES_SERVICE_HOST is not set; name a kubeconfig");
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(`${dir}/${name}`, "utf8");
    } catch (cause) {
      throw bad(`the pod's service account cannot be read: ${dir}/${name}`, cause);
    }
  };
  const ca = await read("ca.crt");
  const dispatcher = agent({ ca });
  let token = { text: (await read("token")).trim(), readMs: Date.now() };
  const namespace = (await read("namespace").catch(() => "default")).trim();
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    namespace,
    authorize: async () => {
      if (Date.now() - token.readMs > TOKEN_AGE_MS)
        token = { text: (await read("token")).trim(), readMs: Date.now() };
      return { dispatcher, headers: { authorization: `Bearer ${token.text}` } };
    },
    close: () => dispatcher.destroy(),
  };
}

function headersOf(options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  const { headers: given } = options;
  if (given === undefined || Array.isArray(given)) return headers;
  for (const [name, value] of Object.entries(given))
    if (typeof value === "string") headers[name.toLowerCase()] = value;
  const { auth } = options;
  if (typeof auth === "string") headers["authorization"] = `Basic ${Buffer.from(auth).toString("base64")}`;
  return headers;
}

/** Dispatchers made anew when the key material changes, as exec plugins change it. */
class Dispatchers {
  #known: { readonly fingerprint: string; readonly dispatcher: Dispatcher } | undefined;
  readonly #proxyUrl: string | undefined;

  constructor(proxyUrl: string | undefined) {
    this.#proxyUrl = proxyUrl;
  }

  of({ ca, cert, key, passphrase, rejectUnauthorized, servername }: RequestOptions): Dispatcher {
    const tls = { ca, cert, key, passphrase, rejectUnauthorized, servername };
    const fingerprint = Object.values(tls).map(String).join("\n");
    if (this.#known?.fingerprint === fingerprint) return this.#known.dispatcher;
    const dispatcher = this.#proxyUrl === undefined ? agent(tls) : this.#proxied(this.#proxyUrl, tls);
    // The one before is left to its streams; without calls its sockets close by themselves.
    this.#known = { fingerprint, dispatcher };
    return dispatcher;
  }

  async close(): Promise<void> {
    await this.#known?.dispatcher.destroy();
  }

  #proxied(uri: string, tls: Tls): Dispatcher {
    if (!/^https?:/.test(uri)) throw bad(`proxy-url ${uri}: only http and https proxies are supported`);
    const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
    return new ProxyAgent({ uri, requestTls: given });
  }
}

/** What the library makes up where it finds nothing. */
const NOWHERE = "http://localhost:8080";

async function kubeconfigCredentials({ kubeconfig, context }: ConnectOptions): Promise<Credentials> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (cause) {
    throw bad(`the kubeconfig${kubeconfig === undefined ? "" : ` ${kubeconfig}`} cannot be read`, cause);
  }
  if (context !== undefined) {
    if (config.getContextObject(context) === null) {
      const known = config.getContexts().map(({ name }) => name);
      throw bad(`the kubeconfig has no context ${context}; it has ${known.join(", ") || "none"}`);
    }
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw bad(`the kubeconfig names no cluster for context ${JSON.stringify(config.getCurrentContext())}`);
  if (kubeconfig === undefined && cluster.server === NOWHERE)
    throw bad("there is no kubeconfig: neither KUBECONFIG nor ~/.kube/config; --kubeconfig names one");
  const dispatchers = new Dispatchers(cluster.proxyUrl);
  return {
    server: cluster.server.replace(/\/+$/, ""),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? "default",
    authorize: async () => {
      const options: RequestOptions = {};
      try {
        await config.applyToHTTPSOptions(options);
      } catch (cause) {
        throw bad("the kubeconfig's user cannot be authenticated", cause);
      }
      return { dispatcher: dispatchers.of(options), headers: headersOf(options) };
    },
    close: () => dispatchers.close(),
  };
}

/** Finds the way that `options` ask for. */
export async function credentialsFor(options: ConnectOptions): Promise<Credentials> {
  const environment = process.env;
  const isPod = environment["KUBERNETES_SERVICE_HOST"] !== undefined;
  const isAsked = options.kubeconfig !== undefined || options.context !== undefined;
  const inCluster =
    options.kubeconfig === IN_CLUSTER || (!isAsked && isPod && environment["KUBECONFIG"] === undefined);
  const found = await (inCluster
    ? podCredentials(environment, options.accountDir)
    : kubeconfigCredentials(options));
  const { as, asGroups = [] } = options;
  if (as === undefined) {
    if (asGroups.length > 0) throw bad("a group to impersonate needs a user to impersonate");
    return found;
  }
  const impersonate = {
    "impersonate-user": as,
    ...(asGroups.length === 0 ? {} : { "impersonate-group": [...asGroups] }),
  };
  return {
    ...found,
    authorize: async () => {
      const { dispatcher, headers } = await found.authorize();
      return { dispatcher, headers: { ...headers, ...impersonate } };
    },
  };
}
