/**
 * How one cluster-wide limit is shared out among the proxies that enforce it. No clock, no socket: time comes in.
 *
 * A proxy reports what it was asked for and what it enforces, and is answered with its share. A share that shrinks is
 * free for others only when its holder reports that it enforces the smaller one (or has not reported for so long that
 * it is taken for gone), so that the shares that are in force together never exceed the limit while all can report.
 *
 * Shares are max-min fair: nobody gets more than it wants while another gets less than an even part. What nobody wants
 * is spread evenly but for a small reserve, so that a burst or a newcomer is not refused for want of a report.
 */

/** How often a proxy reports. */
export const PERIOD_MS = 1_000;

/** How long a share stays its holder's without a report: a few lost ones. */
export const LEASE_MS = 5_000;

/** A share has room for this much more than was asked for: a quarter. */
const HEADROOM = 1.25;

/** The part of the limit that is not given to holders that do not want it. */
const RESERVE = 1 / 32;

/** Demand halves at most from one report to the next: traffic in bursts does not lose its share between them. */
const DECAY = 0.5;

/** Rates in thousandths of a request per second, whole. */
export interface Report {
  readonly holder: string;
  /** What it was asked for since the last report. */
  readonly asked: number;
  /** What it enforces. */
  readonly held: number;
}

interface Holder {
  demand: number;
  granted: number;
  /** The most that it may be enforcing: what it was granted, or what it held before that answer reached it. */
  reserved: number;
  expiresMs: number;
}

/** The shares of one limit. */
export class QuotaPool {
  readonly #holders = new Map<string, Holder>();
  #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The limit is another one from now on; shares follow with their holders' next reports. */
  set limit(limit: number) {
    this.#limit = limit;
  }

  /** Live holders. */
  get size(): number {
    return this.#holders.size;
  }

  /** What is granted to live holders together. */
  get granted(): number {
    return this.#sum((holder) => holder.granted);
  }

  /** Takes a report and answers with the share. */
  lease({ holder: name, asked, held }: Report, nowMs: number): number {
    this.expire(nowMs);
    const known = this.#holders.get(name);
    const demand = Math.max(asked, Math.floor((known?.demand ?? 0) * DECAY));
    const holder: Holder = { demand, granted: 0, reserved: held, expiresMs: nowMs + LEASE_MS };
    this.#holders.set(name, holder);
    const { level, spare } = this.#level();
    const even = this.#limit / this.#holders.size;
    const others = [...this.#holders.values()].filter((one) => one !== holder);
    const free = this.#limit - others.reduce((sum, { reserved }) => sum + reserved, 0);
    // What others wait for is not given away: first even parts, then all that is due, then the spare.
    const unmet = (part: number): number =>
      others.reduce((sum, one) => sum + Math.max(0, Math.min(wanted(one), part) - one.reserved), 0);
    const due = Math.min(wanted(holder), level);
    const first = Math.min(due, Math.max(Math.min(due, even, free), free - unmet(even)));
    const extra = Math.min(spare, free - first - unmet(level));
    holder.granted = Math.floor(Math.max(0, first) + Math.max(0, extra));
    holder.reserved = Math.max(held, holder.granted);
    return holder.granted;
  }

  /** Forgets holders that have not reported in time. */
  expire(nowMs: number): void {
    for (const [name, { expiresMs }] of this.#holders) if (expiresMs <= nowMs) this.#holders.delete(name);
  }

  /** Up to where demands are met, and what each has on top when all are. */
  #level(): { readonly level: number; readonly spare: number } {
    const wants = [...this.#holders.values()].map(wanted).toSorted((a, b) => a - b);
    let left = this.#limit;
    for (const [at, want] of wants.entries()) {
      const level = left / (wants.length - at);
      if (want > level) return { level, spare: 0 };
      left -= want;
    }
    const spare = Math.max(0, left - this.#limit * RESERVE) / Math.max(1, wants.length);
    return { level: Number.POSITIVE_INFINITY, spare };
  }

  #sum(of: (holder: Holder) => number): number {
    let sum = 0;
    for (const holder of this.#holders.values()) sum += of(holder);
    return sum;
  }
}

function wanted({ demand }: Holder): number {
  return Math.ceil(demand * HEADROOM);
}
