/** Proxies that start inside control groups, as a container's processes do. */
import { withWrapper } from "./binaries.ts";
import type { Group } from "./group.ts";

/** Starts a mesh in which the proxies whose identity begins with `identity` join the groups before they run. */
export async function limitedProxies<T>(
  dir: string,
  { identity, groups }: { readonly identity: string; readonly groups: readonly Group[] },
  start: () => Promise<T>,
): Promise<T> {
  // Only what the shell does itself: where no process can be added, nothing else starts.
  const joins = groups.map(({ joining }) => `    echo $$ > '${joining}'`);
  const before = [
    'case "$1 $LINKERD2_PROXY_IDENTITY_LOCAL_NAME" in',
    `  "run ${identity}"*)`,
    ...joins,
    "    ;;",
    "esac",
  ];
  return withWrapper(dir, { name: "hauberk-proxy", before }, start);
}
