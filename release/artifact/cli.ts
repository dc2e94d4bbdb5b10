/** The command line as an archive: unpack it, and run `bin/hauberk`. Node is in it; glibc 2.28 or newer is the system's. */
import { archive, type Entry } from "../image/tar.ts";
import { compress } from "../image/image.ts";
import type { NodeProgram } from "../image/images.ts";

/** What an archive is of. */
export interface CliArchive extends Pick<NodeProgram, "scripts" | "notices" | "node"> {
  readonly version: string;
  readonly platform: string;
  readonly licence: Uint8Array;
  readonly epochSeconds: number;
}

/** It finds its own folder, also through a link that stands on the path. */
const LAUNCHER = [
  "#!/bin/sh",
  'here=$(dirname -- "$(readlink -f -- "$0")")',
  'exec "$here/../lib/node" "$here/../lib/app/hauberk.js" "$@"',
  "",
].join("\n");

const file = (path: string, bytes: Uint8Array, mode = 0o644): Entry => ({ kind: "file", path, mode, bytes });

/** The archive's name, as it lies in the release's folder. */
export const archiveName = ({ version, platform }: Pick<CliArchive, "version" | "platform">): string =>
  `hauberk-${version}-${platform.replace("/", "-")}.tar.gz`;

/** The archive's bytes. */
export async function cliArchive(cli: CliArchive): Promise<Buffer> {
  const root = archiveName(cli).replace(/\.tar\.gz$/, "");
  const entries: readonly Entry[] = [
    file(`${root}/bin/hauberk`, Buffer.from(LAUNCHER), 0o755),
    file(`${root}/lib/node`, cli.node, 0o755),
    file(`${root}/LICENSE`, cli.licence),
    ...cli.scripts.map(({ name, bytes }) => file(`${root}/lib/app/${name}`, bytes)),
    ...cli.notices.map(({ path, bytes }) => file(`${root}/lib/app/${path}`, bytes)),
  ];
  return compress(await archive(entries, cli.epochSeconds));
}
