/** That a bundle is what its channel vouches for, and everything in it is proven. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readTrust } from "../attest/keys.ts";
import { ChannelError, type Memory } from "../channel/follow.ts";
import { contentsOf, readDescription, writeDescription, type Release } from "../channel/release.ts";
import type { ChannelName } from "../channel/roles.ts";
import { verifyRelease, type ImageChecks } from "../verify/release.ts";
import type { Trust } from "../verify/trust.ts";
import { followCopy } from "./follow.ts";
import { CHANNEL_DIR } from "./pack.ts";

/** What a bundle was found to be. */
export interface Proven {
  readonly release: Release;
  readonly trust: Trust;
  /** Every demand of every part, met or not. */
  readonly checks: readonly ImageChecks[];
}

/** A memory that forgets: for whoever looks at a bundle and at no cluster. */
export const forgetful: Memory = { load: () => Promise.resolve(new Map()), save: () => Promise.resolve() };

/** Whom the channel in the bundle says is to be believed, and its release. @throws {@link ChannelError} */
async function vouched(
  dir: string,
  { root, channel }: { readonly root: Buffer; readonly channel: ChannelName },
): Promise<{ readonly release: Release; readonly trust: Trust }> {
  const release = readDescription(await readFile(join(dir, "release.json")));
  const copy = { dir: join(dir, CHANNEL_DIR), name: channel, memory: forgetful, root, now: new Date() };
  const { releases, trust } = await followCopy(copy, ({ releases: listed }) =>
    listed.map(({ version }) => version).filter((version) => version === release.version),
  );
  const offered = releases.get(release.version);
  if (offered === undefined)
    throw new ChannelError("target-missing", `the channel ${channel} does not offer ${release.version}`);
  if (!writeDescription(offered).equals(writeDescription(release)))
    throw new ChannelError(
      "target-altered",
      `release.json is not what ${channel} says of ${release.version}`,
    );
  return { release, trust: readTrust(trust) };
}

/** Proves the bundle that was unpacked to `dir`, from the root document of its channel. @throws {@link ChannelError} */
export async function proveBundle(
  dir: string,
  by: { readonly root: Buffer; readonly channel: ChannelName },
): Promise<Proven> {
  const { release, trust } = await vouched(dir, by);
  const place = { where: dir, tag: release.version, isPlainHttp: false };
  return { release, trust, checks: await verifyRelease(place, trust, Object.keys(contentsOf(release))) };
}
