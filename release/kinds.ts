/** What a release consists of. A kind that is added here is made, described, signed, published and verified like the others. */

/** Images, which clusters run. */
export const IMAGES = ["proxy", "controller", "cli"] as const;
export type ImageName = (typeof IMAGES)[number];

/** What is no image and lies in the same registry: charts, as Helm pulls them, definitions, and the command line as an archive. */
export const CHARTS = ["hauberk-crds", "hauberk-control-plane", "hauberk-cni"] as const;
export const ARTIFACTS = [...CHARTS, "crds", "hauberk-cli"] as const;
export type ArtifactName = (typeof ARTIFACTS)[number];

/** Everything. */
export const KINDS = [...IMAGES, ...ARTIFACTS] as const;
export type KindName = (typeof KINDS)[number];

export function isImageName(name: string): name is ImageName {
  return IMAGES.some((image) => image === name);
}

export function isKindName(name: string): name is KindName {
  return KINDS.some((kind) => kind === name);
}

/** What each needs to be there first: charts name images by digest, and the command line prints charts and definitions. */
export const NEEDS: Readonly<Record<KindName, readonly KindName[]>> = {
  proxy: [],
  controller: [],
  cli: [],
  "hauberk-crds": ["cli"],
  "hauberk-control-plane": ["cli", "controller", "proxy"],
  "hauberk-cni": ["cli", "proxy"],
  crds: ["cli"],
  "hauberk-cli": ["cli"],
};

/** The kinds that can be made where `names` are asked for: everything whose needs are asked for, too. */
export function kindsOf(names: readonly KindName[]): readonly KindName[] {
  const asked = names.length === 0 ? KINDS : names;
  return asked.filter((name) => NEEDS[name].every((need) => asked.includes(need)));
}
