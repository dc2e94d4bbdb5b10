/**
 * One of several replicas at a time: a Lease of `coordination.k8s.io`, taken and kept as Kubernetes' own components do.
 *
 * Times in the object are never compared with our clock: a lease is over when nobody has written it for its duration
 * since we saw it. Who leads stops before another may begin: it gives up when it could not renew for `renewMsMax`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { KubeClient } from "./client.ts";
import { isStatus } from "./error.ts";
import { RESOURCES } from "./resource.ts";

/** How long one call may take: who leads must know in time that it no longer does. */
const CALL_MS_MAX = 5_000;

function timely(): AbortSignal {
  return AbortSignal.timeout(CALL_MS_MAX);
}

/** Linkerd's times for its leases. */
export const LEASE_TIMES = { durationMs: 30_000, renewMsMax: 10_000, retryMs: 2_000 } as const;

export interface LeaseTimes {
  readonly durationMs: number;
  readonly renewMsMax: number;
  readonly retryMs: number;
}

const Lease = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string().default("") }),
  spec: z
    .looseObject({
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().nullish(),
      acquireTime: z.string().nullish(),
      leaseTransitions: z.number().nullish(),
    })
    .default({}),
});
type Lease = z.infer<typeof Lease>;

/** The lease as it was seen, and when its present version was seen first, by our clock. */
export interface Seen {
  readonly holder: string;
  readonly durationMs: number;
  readonly sinceMs: number;
}

/** Whether `self` may write itself into the lease now. */
export function mayTake(
  seen: Seen | undefined,
  { self, nowMs }: { readonly self: string; readonly nowMs: number },
): boolean {
  if (seen === undefined || seen.holder === "" || seen.holder === self) return true;
  return nowMs - seen.sinceMs >= seen.durationMs;
}

export interface LeadOptions {
  readonly client: Pick<KubeClient, "find" | "create" | "replace">;
  readonly namespace: string;
  readonly name: string;
  /** Our name in the lease; no two replicas may share one. */
  readonly holder: string;
  readonly signal: AbortSignal;
  readonly times?: LeaseTimes;
  /** What only one replica does. Its signal aborts when the lease is lost; then it must end soon. */
  readonly whileLeading: (signal: AbortSignal) => Promise<void>;
  readonly onChange: (isLeading: boolean) => void;
  readonly onFailure: (error: unknown) => void;
}

/** Competes for the lease until `signal` aborts; gives it back at the end, so that another takes it at once. */
export async function lead(options: LeadOptions): Promise<void> {
  const { signal, times = LEASE_TIMES } = options;
  const keeper = new Keeper(options);
  while (!signal.aborted) {
    if (await keeper.attempt()) await keeper.lead();
    else await sleep(times.retryMs * (1 + Math.random() / 5), undefined, { signal }).catch(() => undefined);
  }
}

class Keeper {
  readonly #options: LeadOptions;
  readonly #times: LeaseTimes;
  #lease: Lease | undefined;
  #seen: Seen | undefined;

  constructor(options: LeadOptions) {
    this.#options = options;
    this.#times = options.times ?? LEASE_TIMES;
  }

  /** Tries once to take or renew the lease. */
  async attempt(): Promise<boolean> {
    try {
      await this.#look();
      if (!mayTake(this.#seen, { self: this.#options.holder, nowMs: performance.now() })) return false;
      await this.#write(this.#options.holder);
      return true;
    } catch (error) {
      // Somebody else was faster.
      if (!isStatus(error, 409) && !this.#options.signal.aborted) this.#options.onFailure(error);
      return false;
    }
  }

  /** Leads until the lease is lost or the signal aborts. */
  async lead(): Promise<void> {
    const { signal, whileLeading, onChange, onFailure } = this.#options;
    const lost = new AbortController();
    onChange(true);
    // Work that ends by itself is begun anew: a lease without work would keep the others from it.
    const work = whileLeading(AbortSignal.any([signal, lost.signal]))
      .catch(onFailure)
      .finally(() => lost.abort());
    let renewedMs = performance.now();
    const over = AbortSignal.any([signal, lost.signal]);
    while (performance.now() - renewedMs < this.#times.renewMsMax) {
      await sleep(this.#times.retryMs, undefined, { signal: over }).catch(() => undefined);
      if (over.aborted) break;
      if (await this.attempt()) renewedMs = performance.now();
      else if (this.#seen !== undefined && this.#seen.holder !== this.#options.holder) break;
    }
    lost.abort();
    await work;
    onChange(false);
    if (signal.aborted) await this.#release();
  }

  async #look(): Promise<void> {
    const { client, namespace, name } = this.#options;
    const found = await client.find({ type: RESOURCES.leases, namespace, name }, timely());
    const lease = found === undefined ? undefined : Lease.parse(found);
    const isNew = lease?.metadata.resourceVersion !== this.#lease?.metadata.resourceVersion;
    this.#lease = lease;
    if (lease === undefined) this.#seen = undefined;
    else if (isNew || this.#seen === undefined) {
      const { holderIdentity, leaseDurationSeconds } = lease.spec;
      this.#seen = {
        holder: holderIdentity ?? "",
        durationMs: (leaseDurationSeconds ?? 0) * 1_000,
        sinceMs: performance.now(),
      };
    }
  }

  async #write(holder: string): Promise<void> {
    const { client, namespace, name } = this.#options;
    const now = new Date().toISOString().replace("Z", "000Z");
    const before = this.#lease?.spec;
    const isSame = before?.holderIdentity === holder;
    const lease = {
      kind: "Lease",
      metadata: {
        name,
        namespace,
        ...(this.#lease === undefined ? {} : { resourceVersion: this.#lease.metadata.resourceVersion }),
      },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: holder === "" ? 1 : Math.ceil(this.#times.durationMs / 1_000),
        renewTime: now,
        acquireTime: isSame ? (before?.acquireTime ?? now) : now,
        leaseTransitions: (before?.leaseTransitions ?? 0) + (isSame || this.#lease === undefined ? 0 : 1),
      },
    };
    const written = await (this.#lease === undefined
      ? client.create({ type: RESOURCES.leases, namespace }, lease, { signal: timely() })
      : client.replace({ type: RESOURCES.leases, namespace, name }, lease, { signal: timely() }));
    this.#lease = Lease.parse(written);
    this.#seen = { holder, durationMs: this.#times.durationMs, sinceMs: performance.now() };
  }

  async #release(): Promise<void> {
    try {
      await this.#write("");
    } catch (error) {
      // It ends by itself.
      if (!isStatus(error, 409)) this.#options.onFailure(error);
    }
  }
}
