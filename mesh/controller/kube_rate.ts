/** How hard a role may ask the API server, from its environment. */
import { z } from "zod";
import type { Rate } from "../source/kube/rate.ts";
import { ConfigError } from "./config.ts";

const Count = z.coerce.number().int().min(1).max(100_000);

/** `HAUBERK_KUBE_QPS` and `HAUBERK_KUBE_BURST`; without the first there is no limit. @throws {ConfigError} */
export function kubeRate(environment: Readonly<Record<string, string | undefined>>): Rate | undefined {
  const qps = environment["HAUBERK_KUBE_QPS"];
  if (qps === undefined || qps === "") return undefined;
  return {
    perSecond: read("HAUBERK_KUBE_QPS", qps),
    burst: read("HAUBERK_KUBE_BURST", environment["HAUBERK_KUBE_BURST"] ?? qps),
  };
}

function read(name: string, text: string): number {
  const parsed = Count.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new ConfigError(`${name}: ${JSON.stringify(text)} is no number from 1 to 100000`);
}
