/** How proxies name the workload that they are beside. */
import { z } from "zod";
import { Code, RpcError } from "./status.ts";

/** `{"ns":…,"pod":…}` or `{"ns":…,"external_workload":…}`. */
const WorkloadToken = z.union([
  z.object({ ns: z.string().min(1), pod: z.string().min(1) }),
  z.object({ ns: z.string().min(1), external_workload: z.string().min(1) }),
]);

/** The workload that a proxy says it is beside. */
export interface Workload {
  readonly of: "Pod" | "ExternalWorkload";
  readonly namespace: string;
  readonly name: string;
}

function parseWorkload(token: string): Workload | undefined {
  let json: unknown;
  try {
    json = JSON.parse(token);
  } catch {
    // The older form, `namespace:pod`.
    const [namespace, name, ...rest] = token.split(":");
    return namespace && name && rest.length === 0 ? { of: "Pod", namespace, name } : undefined;
  }
  const parsed = WorkloadToken.safeParse(json);
  if (!parsed.success) return undefined;
  const { data } = parsed;
  return "pod" in data
    ? { of: "Pod", namespace: data.ns, name: data.pod }
    : { of: "ExternalWorkload", namespace: data.ns, name: data.external_workload };
}

/** The workload of a token; throws `RpcError` if it is none. */
export function requireWorkload(token: string): Workload {
  const workload = parseWorkload(token);
  if (workload === undefined) throw new RpcError(Code.InvalidArgument, "the workload is not understood");
  return workload;
}
