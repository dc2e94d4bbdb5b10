/** The validating webhooks of policies and profiles, as the destination role runs them. */
import { startWebhook, type Webhook, type WebhookEvent } from "../admission/webhook.ts";
import type { InboundContext } from "../policy/authz.ts";
import type { KubeClient } from "../source/kube/client.ts";
import { validatorHandlers } from "../validator/webhook.ts";
import type { ControllerConfig } from "./config.ts";
import type { Log } from "./log.ts";
import type { Family } from "./metrics.ts";

/** Webhooks that run. */
export interface Validators {
  /** Those that do not answer yet. */
  readonly lacking: () => readonly string[];
  readonly families: () => readonly Family[];
  readonly done: Promise<unknown>;
}

/** Logs what a webhook does. */
export function logWebhook(log: Log, service: string, event: WebhookEvent): void {
  switch (event.type) {
    case "listening":
      log("info", "serving", { role: service, port: event.port });
      return;
    case "broken":
      log("error", "internal error", { role: service, path: event.path, detail: String(event.error) });
      return;
    case "failed":
      log("warn", "cannot keep the webhook's certificate", {
        service,
        reason: event.error instanceof Error ? event.error.message : String(event.error),
      });
      return;
    case "bundled":
    case "serving":
    case "waiting":
    case "written":
      log("info", "webhook certificate", { service, event: event.type });
  }
}

/** Starts those that `config` gives an address to. */
export function startValidators(
  client: KubeClient,
  { policyValidatorListen, profileValidatorListen }: ControllerConfig,
  {
    context,
    namespace,
    log,
    signal,
  }: {
    readonly context: () => InboundContext;
    readonly namespace: string;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Validators {
  const wanted = [
    { service: "linkerd-policy-validator", listen: policyValidatorListen },
    { service: "linkerd-sp-validator", listen: profileValidatorListen },
  ] as const;
  const running: { readonly service: string; readonly webhook: Webhook }[] = [];
  for (const { service, listen } of wanted) {
    if (listen === undefined) continue;
    const options = {
      client,
      namespace,
      service,
      configurations: [{ kind: "validating", name: `${service}-webhook-config` }],
      host: listen.host,
      port: listen.port,
      handlers: validatorHandlers(context),
      heard: (event: WebhookEvent) => logWebhook(log, service, event),
    } as const;
    running.push({ service, webhook: startWebhook(options, signal) });
  }
  return {
    lacking: () => running.filter(({ webhook }) => !webhook.isReady()).map(({ service }) => service),
    families: () => running.flatMap(({ webhook }) => webhook.metrics()),
    done: Promise.all(running.map(({ webhook }) => webhook.done)),
  };
}
