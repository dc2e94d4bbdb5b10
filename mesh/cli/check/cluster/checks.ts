/** Which checks a report makes, in the order of Linkerd's. */
import type { Check } from "../check.ts";
import {
  CONTROL_PLANE_PROXIES,
  CONTROL_PLANE_VERSION,
  DATA_PLANE_CHECKS,
  LAST,
  VERSION_CHECKS,
} from "./data_plane.ts";
import { API, CONFIGURATION, EXISTENCE_CHECKS, GATEWAY, KINDS, cniChecks, pre } from "./existence.ts";
import type { ClusterFacts } from "./facts.ts";
import { IDENTITY_CHECKS, WEBHOOK_CHECKS } from "./trust.ts";

/** What is asked about. */
export type Report = "pre" | "crds" | "control-plane" | "proxy";

export function checksFor(
  report: Report,
  {
    namespace,
    cniNamespace,
    withCni,
  }: { readonly namespace: string; readonly cniNamespace: string; readonly withCni: boolean },
): readonly Check<ClusterFacts>[] {
  const cni = withCni ? cniChecks(cniNamespace) : [];
  switch (report) {
    case "pre":
      return [...API, ...pre(namespace), ...cni, ...VERSION_CHECKS];
    case "crds":
      return [...API, ...KINDS];
    case "control-plane":
    case "proxy":
      return [
        ...API,
        ...GATEWAY,
        ...KINDS,
        ...EXISTENCE_CHECKS,
        ...CONFIGURATION,
        ...cni,
        ...IDENTITY_CHECKS,
        ...WEBHOOK_CHECKS,
        ...VERSION_CHECKS,
        ...CONTROL_PLANE_VERSION,
        ...CONTROL_PLANE_PROXIES,
        ...(report === "proxy" ? DATA_PLANE_CHECKS : []),
        ...LAST,
      ];
  }
}
