/** The issuer and the roots of a cluster: a Secret and a ConfigMap that are watched, whoever writes them. */
import { z } from "zod";
import { digest } from "@hauberk/crypto/digest.ts";
import { IssuerInForce, type IssuerCounts, type Offered } from "../identity/issuer-in-force.ts";
import { readIssuerSecret } from "../identity/issuer-secret.ts";
import { explainIssuer, type Issuer } from "../identity/issuer.ts";
import { ISSUER_SECRET, TRUST_ROOTS } from "../identity/trust-objects.ts";
import type { KubeClient } from "../source/kube/client.ts";
import { follow, noProgress } from "../source/kube/follow.ts";
import { RESOURCES, type ResourceType } from "../source/kube/resource.ts";
import { Latest } from "../state/subscribe.ts";
import type { Log } from "./log.ts";

/** How often an issuer that was refused is judged again: it may be valid a moment later. */
const AGAIN_MS = 10_000;

/** One object that is watched; `undefined`: there is none. */
export interface Watched {
  readonly value: Latest<unknown>;
  readonly isRead: () => boolean;
  readonly done: Promise<void>;
}

/** Follows one object by its name. */
export function watchObject(
  client: Pick<KubeClient, "pages" | "watchBatches">,
  {
    type,
    namespace,
    name,
  }: { readonly type: ResourceType; readonly namespace: string; readonly name: string },
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Watched {
  const value = new Latest<unknown>(undefined);
  const progress = noProgress();
  const run = async (): Promise<void> => {
    const followed = follow<unknown>({
      client,
      ref: { type, namespace },
      fieldSelector: `metadata.name=${name}`,
      read: (object) => object,
      progress,
      signal,
      onFailure: (error, pauseMs) =>
        log("warn", "cannot watch", {
          object: `${type.plural} ${namespace}/${name}`,
          pauseMs,
          reason: String(error),
        }),
    });
    let listed: unknown;
    for await (const heard of followed) {
      switch (heard.type) {
        case "begin":
          listed = undefined;
          break;
        case "part":
          listed = heard.items[0];
          break;
        case "end":
          value.set(listed);
          break;
        case "changes":
          for (const { type: what, item } of heard.changes) value.set(what === "remove" ? undefined : item);
      }
    }
  };
  return { value, isRead: () => progress.isSynced, done: run() };
}

const ConfigMap = z.object({ data: z.record(z.string(), z.string()).nullish() });

/** A value of a ConfigMap; `undefined`: there is none. */
export function dataOf(object: unknown, key: string): string | undefined {
  return ConfigMap.safeParse(object).data?.data?.[key];
}

/** The issuer of a cluster. */
export interface ClusterIssuer {
  /** `undefined` until there is a good one. */
  readonly inForce: Latest<Issuer | undefined>;
  readonly counts: () => Readonly<IssuerCounts>;
  /** What is lacking before certificates can be issued. */
  readonly lacking: () => readonly string[];
  readonly done: Promise<void>;
}

/** What became of what the Secret and the ConfigMap say. */
export interface IssuerNews {
  /** An issuer is in force that was not before. */
  readonly replaced: (issuer: Issuer) => void;
  /** What is written is refused; the one before stays in force. */
  readonly refused: (reason: string) => void;
}

/** Follows both objects. A bad issuer is refused, and the one before stays. */
export function followIssuer(
  client: Pick<KubeClient, "pages" | "watchBatches">,
  { namespace, log, signal, news }: { namespace: string; log: Log; signal: AbortSignal; news: IssuerNews },
): ClusterIssuer {
  const context = { log, signal };
  const secret = watchObject(client, { type: RESOURCES.secrets, namespace, name: ISSUER_SECRET }, context);
  const roots = watchObject(
    client,
    { type: RESOURCES.configMaps, namespace, name: TRUST_ROOTS.name },
    context,
  );
  const holder = new IssuerInForce();
  const inForce = new Latest<Issuer | undefined>(undefined);
  let refusal = "";
  const judge = (): void => {
    if (!secret.isRead() || !roots.isRead()) return;
    const offered = offer(holder, { secret: secret.value.value, roots: roots.value.value });
    switch (offered.type) {
      case "unchanged":
        refusal = "";
        return;
      case "replaced":
        refusal = "";
        inForce.set(offered.issuer);
        news.replaced(offered.issuer);
        return;
      case "kept":
        refusal = explainIssuer(offered.refusal);
        if (offered.isNew) news.refused(refusal);
    }
  };
  const stops = [secret, roots].map(({ value }) => value.listen(judge));
  // Also for an object that is not there, which is no change of its value.
  const again = setInterval(() => {
    if (refusal !== "" || inForce.value === undefined) judge();
  }, AGAIN_MS);
  signal.addEventListener("abort", () => clearInterval(again), { once: true });
  const finish = async (): Promise<void> => {
    await Promise.all([secret.done, roots.done]);
    for (const stop of stops) stop();
  };
  return {
    inForce,
    counts: () => holder.counts,
    lacking: () =>
      inForce.value === undefined ? [refusal === "" ? `the Secret ${ISSUER_SECRET}` : refusal] : [],
    done: finish(),
  };
}

function offer(
  holder: IssuerInForce,
  { secret, roots }: { readonly secret: unknown; readonly roots: unknown },
): Offered {
  const pem = dataOf(roots, TRUST_ROOTS.key);
  if (pem === undefined)
    return refuse(holder, `ConfigMap ${TRUST_ROOTS.name}: data["${TRUST_ROOTS.key}"] is missing`);
  if (secret === undefined) return refuse(holder, `there is no Secret ${ISSUER_SECRET}`);
  const read = readIssuerSecret(secret);
  if (!read.ok) return refuse(holder, `Secret ${ISSUER_SECRET}: ${read.detail}`);
  const { certificates, privateKey } = read.values;
  return holder.offer({ certificates, privateKey, anchors: pem }, Date.now());
}

function refuse(holder: IssuerInForce, detail: string): Offered {
  return holder.refuse({ code: "unreadable", detail }, digest(new TextEncoder().encode(detail)));
}
