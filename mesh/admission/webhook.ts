/**
 * A webhook as a role of the control plane runs it: certificate kept, server up as soon as there is one, both down at the
 * end. The roles bring their handlers.
 *
 *     const webhook = startWebhook({ client, namespace, service: "linkerd-proxy-injector", handlers, ... }, signal);
 *     webhook.isReady(); webhook.metrics(); await webhook.done;
 */
import type { CounterFamily } from "./counter.ts";
import type { KubeClient } from "../source/kube/client.ts";
import { keepCertificate, serviceNames, type KeeperEvent } from "./keeper.ts";
import { kubeStore, type ConfigurationRef } from "./kube-store.ts";
import { serveAdmission, type AdmissionServer, type Handler, type ServingCertificate } from "./server.ts";

/** How long reviews that are being judged may take at the end: Kubernetes stops sending new ones within seconds. */
export const GRACE_MS = 5_000;

export interface WebhookOptions {
  readonly client: KubeClient;
  /** The control plane's. */
  readonly namespace: string;
  /** The Service that API servers call; its Secret is named `SERVICE-k8s-tls`. */
  readonly service: string;
  readonly configurations: readonly ConfigurationRef[];
  readonly host: string;
  readonly port: number;
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly heard: (event: WebhookEvent) => void;
}

/** What a webhook reports: what its keeper does, that it listens, and errors of its handlers. */
export type WebhookEvent =
  | KeeperEvent
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "broken"; readonly path: string; readonly error: unknown };

export interface Webhook {
  /** Whether reviews are answered. */
  isReady(): boolean;
  metrics(): readonly CounterFamily[];
  /** Resolves after the signal, when nothing runs any more. */
  readonly done: Promise<void>;
}

/** The Secret that holds the certificate of `service`. */
export function secretName(service: string): string {
  return `${service}-k8s-tls`;
}

/** Runs until `signal`. */
export function startWebhook(options: WebhookOptions, signal: AbortSignal): Webhook {
  const running = new Running(options);
  const { client, namespace, service, configurations } = options;
  const kept = keepCertificate(
    {
      store: kubeStore({ client, namespace, secret: secretName(service), configurations }),
      names: serviceNames(service, namespace),
      nowMs: Date.now,
      heard: (event) => running.on(event),
    },
    signal,
  );
  return {
    isReady: () => running.server !== undefined,
    metrics: () => running.server?.metrics() ?? [],
    done: kept.then(() => running.close()),
  };
}

class Running {
  server: AdmissionServer | undefined;
  readonly #options: WebhookOptions;
  /** The certificate changes one after another, also while the server is being started. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  on(event: KeeperEvent): void {
    this.#options.heard(event);
    if (event.type !== "serving") return;
    const { certificates, privateKey } = event.material;
    this.#turn = this.#turn
      .then(() => this.#serve({ certificates, privateKey }))
      .catch((error: unknown) => this.#options.heard({ type: "failed", error }));
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.server?.close(GRACE_MS);
    this.server = undefined;
  }

  async #serve(certificate: ServingCertificate): Promise<void> {
    if (this.server !== undefined) {
      this.server.renew(certificate);
      return;
    }
    const { host, port, handlers, heard } = this.#options;
    const onError = (path: string, error: unknown): void => heard({ type: "broken", path, error });
    this.server = await serveAdmission({ host, port, certificate, handlers, onError });
    heard({ type: "listening", port: this.server.address.port });
  }
}
