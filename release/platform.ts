/** The platforms that a release is for, by every name that they have. */

/** Names of one platform. */
export interface Platform {
  /** In image indexes, and of Debian. */
  readonly oci: "amd64" | "arm64";
  /** Of Node. */
  readonly node: "x64" | "arm64";
  /** Of rustc. */
  readonly rust: string;
  /** Of the GNU tools that compile C for it. */
  readonly gnu: string;
}
export type Architecture = Platform["oci"];

/** All of them, in the order of the indexes. */
export const PLATFORMS: readonly Platform[] = [
  { oci: "amd64", node: "x64", rust: "x86_64-unknown-linux-gnu", gnu: "x86_64-linux-gnu" },
  { oci: "arm64", node: "arm64", rust: "aarch64-unknown-linux-gnu", gnu: "aarch64-linux-gnu" },
];

/** The platform of this machine. @throws if a release is not for it. */
export function platformHere(): Platform {
  const found = PLATFORMS.find(({ node }) => node === process.arch);
  if (found === undefined) throw new Error(`there is no release for ${process.arch}`);
  return found;
}

/** As image indexes have it. */
export const nameOfPlatform = ({ oci }: Platform): string => `linux/${oci}`;

/** Something that a release should hold and does not, because this machine could not make it. */
export interface Absent {
  readonly name: string;
  readonly platform: string;
  readonly reason: string;
}
