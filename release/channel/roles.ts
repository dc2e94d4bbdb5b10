/** Who may sign what in the channel's metadata (The Update Framework, specification 1.0.31). Pure. */

/** Channels that a cluster may follow. `stable` needs two signers, `edge` one. */
export const CHANNELS = ["stable", "edge"] as const;
export type ChannelName = (typeof CHANNELS)[number];

export function isChannel(name: string): name is ChannelName {
  return name === "stable" || name === "edge";
}

export type RoleName = "root" | "targets" | "snapshot" | "timestamp" | ChannelName;

/** A role: the names of the keys that may sign for it, how many must, and how long what they sign is good for. */
export interface RoleRule {
  readonly keys: readonly string[];
  readonly threshold: number;
  readonly days: number;
}

/**
 * Root and targets are kept offline and change rarely; `snapshot` and `timestamp` lie with whoever serves the repository,
 * so a timestamp lasts two days: that is how long a frozen repository can go unnoticed.
 */
export const RULES: Readonly<Record<RoleName, RoleRule>> = {
  root: { keys: ["root-1", "root-2", "root-3"], threshold: 2, days: 365 },
  targets: { keys: ["targets-1", "targets-2"], threshold: 2, days: 90 },
  stable: { keys: ["stable-1", "stable-2"], threshold: 2, days: 30 },
  edge: { keys: ["edge-1"], threshold: 1, days: 30 },
  snapshot: { keys: ["snapshot-1"], threshold: 1, days: 14 },
  timestamp: { keys: ["timestamp-1"], threshold: 1, days: 2 },
};

export const ROLE_NAMES: readonly RoleName[] = ["root", "targets", "stable", "edge", "snapshot", "timestamp"];

/** Where a channel's list of releases lies among the targets. */
export const listOf = (channel: ChannelName) => `${channel}/releases.json`;
/** Where one release's description lies. */
export const descriptionOf = (channel: ChannelName, version: string) => `${channel}/hauberk-${version}.json`;
/** The builders and gates whom a verifier of images believes. */
export const TRUST_TARGET = "trust.json";
/** The trust root of the Sigstore that parties sign by, where there is one; the name by which cosign looks for it. */
export const SIGSTORE_TARGET = "trusted_root.json";
