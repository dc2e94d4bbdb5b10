/** Where a ServiceProfile is not what its author may think. Pure. */
import { keyOf } from "../model/meta.ts";
import { routesRequests, type ServiceProfile } from "../model/profile.ts";
import { grpcRoutesOf, httpRoutesOf } from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Warning } from "./condition.ts";

/** Words about one profile. */
function wordsOf(profile: ServiceProfile, snapshot: Snapshot): readonly string[] {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc\./.exec(profile.meta.name) ?? [];
  if (name === undefined || namespace === undefined) {
    return routesRequests(profile)
      ? ["is named like no service of the cluster; its routes have no effect"]
      : [];
  }
  if (!snapshot.Service.has(keyOf({ namespace, name })))
    return [`Service ${namespace}/${name}, which it is named after, does not exist`];
  const parent = { group: "", kind: "Service", namespace, name };
  const attached = [...httpRoutesOf(snapshot, parent), ...grpcRoutesOf(snapshot, parent)];
  const displaced =
    routesRequests(profile) && attached.length > 0
      ? [
          `its routes and overrides stand in place of ${attached.map(({ meta }) => keyOf(meta)).join(", ")}, as in Linkerd`,
        ]
      : [];
  const lost = profile.dstOverrides.flatMap(({ authority }) => {
    const [, to, at] = /^([^.:]+)\.([^.:]+)\.svc\.[^:]+(?::\d+)?$/.exec(authority) ?? [];
    if (to === undefined || at === undefined)
      return [`override ${authority} is no service; its share gets 500`];
    return snapshot.Service.has(keyOf({ namespace: at, name: to }))
      ? []
      : [`Service ${at}/${to} of an override does not exist; its share gets 500`];
  });
  return [...displaced, ...lost];
}

/** What is accepted of ServiceProfiles and yet worth a word. */
export function profileWarnings(snapshot: Snapshot): readonly Warning[] {
  return [...snapshot.ServiceProfile.values()].flatMap((profile) =>
    wordsOf(profile, snapshot).map((message) => ({
      kind: "ServiceProfile",
      namespace: profile.meta.namespace,
      name: profile.meta.name,
      message,
    })),
  );
}
