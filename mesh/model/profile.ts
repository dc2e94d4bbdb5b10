/** What Linkerd's ServiceProfiles say. The object's name is the service's full DNS name. */
import type { Meta } from "./meta.ts";
import type { PortSet } from "./ports.ts";

/** What a request must be. */
export type RequestCondition =
  | { readonly type: "all"; readonly of: readonly RequestCondition[] }
  | { readonly type: "any"; readonly of: readonly RequestCondition[] }
  | { readonly type: "not"; readonly of: RequestCondition }
  /** For the whole path. */
  | { readonly type: "path"; readonly regex: string }
  | { readonly type: "method"; readonly method: string };

/** What a response must be. */
export type ResponseCondition =
  | { readonly type: "all"; readonly of: readonly ResponseCondition[] }
  | { readonly type: "any"; readonly of: readonly ResponseCondition[] }
  | { readonly type: "not"; readonly of: ResponseCondition }
  | { readonly type: "status"; readonly min: number; readonly max: number };

export interface ResponseClass {
  readonly condition: ResponseCondition;
  readonly isFailure: boolean;
}

export interface ProfileRoute {
  readonly name: string;
  readonly condition: RequestCondition;
  readonly isRetryable: boolean;
  readonly timeoutMs: number | undefined;
  /** The first that holds decides whether a response failed; without any, statuses from 500 do. */
  readonly responseClasses: readonly ResponseClass[];
}

/** A share of requests, and a few per second, that may be retried. */
export interface RetryBudget {
  readonly retryRatio: number;
  readonly minRetriesPerSecond: number;
  readonly ttlMs: number;
}

/** One part of a split; the weight is in thousandths. */
export interface DstOverride {
  readonly authority: string;
  readonly weight: number;
}

export interface ServiceProfile {
  readonly meta: Meta;
  readonly opaquePorts: PortSet;
  readonly routes: readonly ProfileRoute[];
  readonly retryBudget: RetryBudget | undefined;
  readonly dstOverrides: readonly DstOverride[];
}

interface Range {
  readonly min: number;
  readonly max: number;
}

const STATUS_MIN = 100;
const STATUS_MAX = 599;

function holds(condition: ResponseCondition, status: number): boolean {
  switch (condition.type) {
    case "all":
      return condition.of.every((one) => holds(one, status));
    case "any":
      return condition.of.some((one) => holds(one, status));
    case "not":
      return !holds(condition.of, status);
    case "status":
      return condition.min <= status && status <= condition.max;
  }
}

/** The statuses that count as failures, as ranges: conditions on responses speak of nothing else. */
export function failureRanges(classes: readonly ResponseClass[]): readonly Range[] {
  const ranges: { min: number; max: number }[] = [];
  for (let status = STATUS_MIN; status <= STATUS_MAX; status += 1) {
    const found = classes.find(({ condition }) => holds(condition, status));
    if (!(found?.isFailure ?? status >= 500)) continue;
    const last = ranges.at(-1);
    if (last?.max === status - 1) last.max = status;
    else ranges.push({ min: status, max: status });
  }
  return ranges;
}

/** Whether the profile says where requests go or how; one that does stands before the service's routes. */
export function routesRequests({ routes, dstOverrides }: ServiceProfile): boolean {
  return routes.length + dstOverrides.length > 0;
}
