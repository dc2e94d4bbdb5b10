/** `hauberk.proxy.v1.Quota` on the wire: which proxies have a share of which limit, and how much. */
import { create } from "@bufbuild/protobuf";
import {
  LeaseResponseSchema,
  Quota,
  type LeaseRequest,
  type LeaseResponse,
} from "../api/gen/hauberk/proxy/v1/quota_pb.ts";
import type { Methods } from "../api/methods.ts";
import { Code, RpcError } from "../api/status.ts";
import { keyOf } from "../model/meta.ts";
import { selects } from "../model/selector.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import { LEASE_MS, PERIOD_MS, QuotaPool } from "./quota.ts";
import { serversOfPolicy } from "./rate_limit.ts";
import { requireWorkload, type Workload } from "../api/workload.ts";

/** A port has at most sixteen policies, and a workload few ports. */
const DEMANDS_MAX = 256;

/** No limit is so high: 2^32 requests per second in thousandths. A proxy that says more is wrong. */
const MILLI_MAX = 2 ** 32 * 1_000;

/** What the service reports of itself: by limit, its live holders and what they have together, per second. */
export interface QuotaGauges {
  readonly pools: () => readonly {
    readonly key: string;
    readonly holders: number;
    readonly granted: number;
  }[];
  readonly stop: () => void;
}

function limitOf(key: string, snapshot: Snapshot): number | undefined {
  const limits = snapshot.HTTPRateLimitPolicy.get(key)?.limits;
  return limits?.scope === "Cluster" ? limits.total.perSecond * 1_000 : undefined;
}

/** Whether a Server of the policy selects the workload: nobody else has a part in its limit. */
function mayHold({ of, namespace, name }: Workload, key: string, snapshot: Snapshot): boolean {
  const policy = snapshot.HTTPRateLimitPolicy.get(key);
  if (policy === undefined || policy.meta.namespace !== namespace) return false;
  const found = (of === "Pod" ? snapshot.Pod : snapshot.ExternalWorkload).get(keyOf({ namespace, name }));
  if (found === undefined) return false;
  return serversOfPolicy(policy, snapshot).some(
    (server) => server.of === of && selects(server.selector, found.meta.labels),
  );
}

/** The limits that are leased by this process. */
export class Quotas {
  readonly #pools = new Map<string, QuotaPool>();
  readonly #replicas: number;

  /** `replicas`: how many control planes there are; each leases an even part, so that they need not speak. */
  constructor(replicas: number) {
    this.#replicas = replicas;
  }

  get pools(): ReadonlyMap<string, QuotaPool> {
    return this.#pools;
  }

  /** Answers one report. Throws `RpcError` if it makes no sense. */
  lease({ workload, demands }: LeaseRequest, snapshot: Snapshot, nowMs: number): LeaseResponse {
    const from = requireWorkload(workload);
    if (demands.length > DEMANDS_MAX)
      throw new RpcError(Code.InvalidArgument, "too many limits are asked for");
    const leases = demands.flatMap(({ key, askedMilliPerSecond, heldMilliPerSecond }) => {
      const limit = limitOf(key, snapshot);
      if (limit === undefined || !mayHold(from, key, snapshot)) return [];
      const asked = Math.min(Number(askedMilliPerSecond), MILLI_MAX);
      const held = Math.min(Number(heldMilliPerSecond), MILLI_MAX);
      const pool = this.#pool(key, Math.floor(limit / this.#replicas));
      const share = pool.lease({ holder: `${from.of}/${keyOf(from)}`, asked, held }, nowMs);
      return [{ key, milliPerSecond: BigInt(share), validMs: LEASE_MS }];
    });
    return create(LeaseResponseSchema, { leases, nextMs: PERIOD_MS });
  }

  /** Forgets limits that are no more. */
  prune(snapshot: Snapshot): void {
    for (const key of this.#pools.keys()) if (limitOf(key, snapshot) === undefined) this.#pools.delete(key);
  }

  #pool(key: string, limit: number): QuotaPool {
    const pool = this.#pools.get(key) ?? new QuotaPool(limit);
    pool.limit = limit;
    this.#pools.set(key, pool);
    return pool;
  }
}

/** Adds the service to a listener's methods. `nowMs` is a clock that never goes back. */
export function quotaMethods(
  methods: Methods,
  {
    snapshots,
    replicas,
    nowMs,
  }: { readonly snapshots: Latest<Snapshot>; readonly replicas: number; readonly nowMs: () => number },
): QuotaGauges {
  const quotas = new Quotas(replicas);
  methods.unary(Quota.method.lease, (request) => quotas.lease(request, snapshots.value, nowMs()));
  return {
    pools: () =>
      [...quotas.pools].map(([key, pool]) => {
        pool.expire(nowMs());
        return { key, holders: pool.size, granted: pool.granted / 1_000 };
      }),
    stop: snapshots.listen((snapshot) => quotas.prune(snapshot)),
  };
}
