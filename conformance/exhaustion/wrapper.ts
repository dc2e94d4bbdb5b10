/** Proxies that start inside control groups, as a container's processes do. */
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Group } from "./group.ts";

const BUILT = join(import.meta.dirname, "..", "..", "proxy", "target", "bin");

/** The binaries of the data plane: where the environment says, or where the build puts them. */
export function binaries(): { readonly proxy: string; readonly sandbox: string } {
  const dir = resolve(process.env["HAUBERK_BIN_DIR"] ?? BUILT);
  return { proxy: join(dir, "hauberk-proxy"), sandbox: join(dir, "hauberk-sandbox") };
}

/** Starts a mesh in which the proxies whose identity begins with `identity` join the groups before they run. */
export async function limitedProxies<T>(
  dir: string,
  { identity, groups }: { readonly identity: string; readonly groups: readonly Group[] },
  start: () => Promise<T>,
): Promise<T> {
  const { proxy, sandbox } = binaries();
  const bin = join(dir, "bin");
  await mkdir(bin);
  await symlink(sandbox, join(bin, "hauberk-sandbox"));
  // Only what the shell does itself: where no process can be added, nothing else starts.
  const joins = groups.map(({ joining }) => `    echo $$ > '${joining}'`);
  const script = [
    "#!/bin/sh",
    'case "$1 $LINKERD2_PROXY_IDENTITY_LOCAL_NAME" in',
    `  "run ${identity}"*)`,
    ...joins,
    "    ;;",
    "esac",
    `exec '${proxy}' "$@"`,
    "",
  ].join("\n");
  await writeFile(join(bin, "hauberk-proxy"), script);
  await chmod(join(bin, "hauberk-proxy"), 0o755);
  const before = process.env["HAUBERK_BIN_DIR"];
  process.env["HAUBERK_BIN_DIR"] = bin;
  try {
    return await start();
  } finally {
    if (before === undefined) delete process.env["HAUBERK_BIN_DIR"];
    else process.env["HAUBERK_BIN_DIR"] = before;
  }
}
