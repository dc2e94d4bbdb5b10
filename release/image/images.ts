/** What is in each image. Pure: files in, layers out. */
import type { ImageSpec, Layer } from "./image.ts";
import type { Deb } from "./deb.ts";
import type { Entry } from "./tar.ts";

/** The user of the proxy, whose own connections are not redirected (INTERFACE §3). */
const PROXY_USER = 2102;
/** The user of everything else. */
const NONROOT = 65_532;

export interface Release {
  readonly version: string;
  readonly commit: string;
  readonly epochSeconds: number;
}

/** Labels of an image, and annotations of everything else. */
export function labels(title: string, description: string, { version, commit, epochSeconds }: Release) {
  return {
    "org.opencontainers.image.title": title,
    "org.opencontainers.image.description": description,
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.revision": commit,
    "org.opencontainers.image.created": new Date(epochSeconds * 1000).toISOString(),
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.vendor": "Hauberk",
  };
}

/** capabilities(7) */
const CAP_NET_ADMIN = 12;

const file = (path: string, bytes: Uint8Array | string, mode = 0o644) =>
  ({
    kind: "file",
    path,
    mode,
    bytes: typeof bytes === "string" ? Buffer.from(bytes) : bytes,
  }) satisfies Entry;

/** Names for numbers, so that tools that ask find one. There is no shell to log in with. */
function users(id: number, name: string): Layer {
  return {
    made: "users",
    entries: [
      file("etc/passwd", `root:x:0:0:root:/:/nonexistent\n${name}:x:${id}:${id}:${name}:/:/nonexistent\n`),
      file("etc/group", `root:x:0:\n${name}:x:${id}:\n`),
    ],
  };
}

/** Files of a package that no program of ours reads; copyright files stay. */
const UNREAD =
  /^usr\/share\/(doc\/(?!.*copyright$)|man\/|info\/|locale\/|lintian\/|bug\/|gcc|gdb\/)|\/(gconv|audit)(\/|$)/;

/** A package's files, and the record by which scanners know it (`status.d`, as distroless images have it). */
export function debLayer(deb: Deb): Layer {
  const kept = deb.entries.filter((entry) => entry.kind !== "directory" && !UNREAD.test(entry.path));
  return {
    made: `deb ${deb.name} ${deb.version} ${deb.digest}`,
    entries: [...kept, file(`var/lib/dpkg/status.d/${deb.name}`, deb.control)],
  };
}

/** One static binary on nothing. It is proxy, redirection, validator and CNI plugin by its first argument or its name. */
export function proxyImage(binary: Uint8Array, release: Release, architecture: "amd64" | "arm64"): ImageSpec {
  return {
    architecture,
    layers: [
      users(PROXY_USER, "hauberk"),
      {
        made: "hauberk-proxy",
        // `hauberk-proxy init` redirects as a user who is not root; a sidecar's bounds do not have the capability.
        entries: [
          { ...file("hauberk-proxy", binary, 0o755), permitted: [CAP_NET_ADMIN] },
          // Where manifests that were injected for Linkerd's image have it (INTERFACE §3).
          { kind: "link", path: "usr/lib/linkerd/linkerd-await", target: "/hauberk-proxy" },
        ],
      },
    ],
    entrypoint: ["/hauberk-proxy"],
    user: `${PROXY_USER}:${PROXY_USER}`,
    labels: labels("hauberk-proxy", "The data plane of the Hauberk service mesh.", release),
    epochSeconds: release.epochSeconds,
  };
}

/**
 * Room for young objects in MiB, of which V8 keeps three. Its default of 16 costs a control plane with 5000 streams 50 MiB
 * and saves no time (docs/scale.md).
 */
const YOUNG_GENERATION = "--max-semi-space-size=8";

export interface NodeProgram {
  readonly title: string;
  readonly description: string;
  /** Bundles, by file name; the first one is what is run. */
  readonly scripts: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  /** Licences and manifests of what was bundled, by path below the program. */
  readonly notices: readonly { readonly path: string; readonly bytes: Uint8Array }[];
  /** Node itself. */
  readonly node: Uint8Array;
}

/** Node, the C library that it needs, and one program. */
export function nodeImage(
  program: NodeProgram,
  {
    debs,
    release,
    architecture,
  }: {
    readonly debs: readonly Deb[];
    readonly release: Release;
    readonly architecture: "amd64" | "arm64";
  },
): ImageSpec {
  const [main] = program.scripts;
  if (main === undefined) throw new Error(`${program.title} has no scripts`);
  const sorted = debs.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    architecture,
    layers: [
      ...sorted.map(debLayer),
      users(NONROOT, "nonroot"),
      { made: "node", entries: [file("usr/bin/node", program.node, 0o755)] },
      {
        made: program.title,
        entries: [
          ...program.scripts.map(({ name, bytes }) => file(`app/${name}`, bytes)),
          ...program.notices.map(({ path, bytes }) => file(`app/${path}`, bytes)),
        ],
      },
    ],
    entrypoint: ["/usr/bin/node", YOUNG_GENERATION, `/app/${main.name}`],
    environment: { NODE_ENV: "production" },
    user: `${NONROOT}:${NONROOT}`,
    labels: labels(program.title, program.description, release),
    epochSeconds: release.epochSeconds,
  };
}
