/** What one caller may have of a listener, so that a workload that floods the control plane takes its own share alone. */
import { RateLimit, type Allowance } from "./rate.ts";

/** The header in which the proxy before a listener names the identity that it has verified; stripped from outside. */
export const CLIENT_ID = "l5d-client-id";

/** Longest identity: a SPIFFE ID. */
const CALLER_CHARS_MAX = 2_048;

/**
 * Calls of one identity. All replicas of a workload share an identity, and each opens a few dozen streams when it starts
 * or when the control plane has been away: a burst for a few hundred replicas at once, then a thousand calls a second.
 */
export const CALLS: Allowance = { burst: 20_000, refillMs: 1 };

/** Calls of one identity that are open at once: half of what a listener takes at all. */
export const OPEN_MAX = 25_000;

/** Who calls. */
export interface Caller {
  /** The proven identity, or the address. */
  readonly key: string;
  readonly isProven: boolean;
}

/** Names the caller of a call. */
export function callerOf(
  clientId: string | readonly string[] | undefined,
  address: string | undefined,
): Caller {
  const named = typeof clientId === "string" ? clientId : undefined;
  if (named !== undefined && named !== "")
    return { key: `id ${named.slice(0, CALLER_CHARS_MAX)}`, isProven: true };
  return { key: `from ${address ?? "nowhere"}`, isProven: false };
}

/** How a listener is shared among its callers. */
export interface CallLimitOptions {
  readonly allowance?: Allowance;
  readonly openMax?: number;
  /**
   * Whether callers without an identity are limited, too. All that come through one proxy look alike, so where those
   * who have no identity yet must be heard, they are limited by what they prove in the call.
   */
  readonly limitsUnproven?: boolean;
}

/** Counts calls by caller. */
export class CallLimit {
  readonly #rate: RateLimit;
  readonly #openMax: number;
  readonly #limitsUnproven: boolean;
  readonly #open = new Map<string, number>();

  constructor({ allowance = CALLS, openMax = OPEN_MAX, limitsUnproven = true }: CallLimitOptions = {}) {
    this.#rate = new RateLimit(allowance);
    this.#openMax = openMax;
    this.#limitsUnproven = limitsUnproven;
  }

  /** Whether the call may go on; if not, why. Each call that may is to be closed once. */
  open({ key, isProven }: Caller, nowMs: number): "admitted" | "too_often" | "too_many" {
    const open = this.#open.get(key) ?? 0;
    if (isProven || this.#limitsUnproven) {
      if (open >= this.#openMax) return "too_many";
      if (!this.#rate.take(key, nowMs)) return "too_often";
    }
    this.#open.set(key, open + 1);
    return "admitted";
  }

  /** A call that was admitted is over. */
  close({ key }: Caller): void {
    const left = (this.#open.get(key) ?? 0) - 1;
    if (left > 0) this.#open.set(key, left);
    else this.#open.delete(key);
  }
}
