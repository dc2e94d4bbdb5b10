/** SLSA provenance v1: how an image came to be, as the orchestrator saw it. Pure. */
import type { Digest } from "../oci/model.ts";

/** Names the way of building: what the parameters mean. Its text is docs/guide/release.md. */
const BUILD_TYPE = "https://hauberk.io/build/v1";

/** Something that went in. */
export interface Material {
  /** Package URL, or another URI that says what it is. */
  readonly uri: string;
  readonly digest: Readonly<Record<string, string>>;
  readonly name?: string;
}

export interface Run {
  /** Where the source is to be had: `git+https://…`. */
  readonly sourceUri: string;
  readonly commit: string;
  readonly version: string;
  readonly artifact: string;
  readonly platform: string;
  readonly materials: readonly Material[];
  /** What the steps made, twice alike. */
  readonly outputs: ReadonlyMap<string, Digest>;
  /** Who built: a URI that the builder's key stands for. */
  readonly builderId: string;
  readonly invocationId: string;
  /** RFC 3339. The time of the commit: a rebuild must say the same. */
  readonly at: string;
}

const sha256 = (digest: Digest) => ({ sha256: digest.slice("sha256:".length) });

/** The predicate. Everything that a build could be told from outside is in `externalParameters`. */
export function provenance(run: Run): unknown {
  const source = { uri: run.sourceUri, digest: { gitCommit: run.commit } };
  return {
    buildDefinition: {
      buildType: BUILD_TYPE,
      externalParameters: {
        source,
        version: run.version,
        artifact: run.artifact,
        platform: run.platform,
      },
      internalParameters: { builds: 2, network: "none", sourceDateEpoch: run.at },
      resolvedDependencies: [source, ...run.materials],
    },
    runDetails: {
      builder: { id: run.builderId },
      metadata: { invocationId: run.invocationId, startedOn: run.at, finishedOn: run.at },
      byproducts: [...run.outputs].map(([name, digest]) => ({ name, digest: sha256(digest) })),
    },
  };
}
