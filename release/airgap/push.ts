/** Everything in an unpacked bundle, into a registry, each part under the release's version. */
import { join } from "node:path";
import { contentsOf, type Release } from "../channel/release.ts";
import { Layout } from "../oci/layout.ts";
import { publishImage } from "../publish.ts";
import { repositoryOf } from "../verify/release.ts";

/** Where to, as `HOST[:PORT]/PATH`. */
export interface Target {
  readonly where: string;
  readonly isPlainHttp: boolean;
}

/** Pushes all parts; `said` hears of each. @throws if one comes out under another digest than the release says. */
export async function pushRelease(
  dir: string,
  release: Release,
  { target, said }: { readonly target: Target; readonly said: (line: string) => void },
): Promise<void> {
  const layout = await Layout.open(join(dir, "images"));
  const tag = release.version;
  for (const [name, digest] of Object.entries(contentsOf(release))) {
    const to = repositoryOf({ ...target, tag }, name);
    try {
      const { index, attached } = await publishImage(layout, { name, to, tag });
      if (index.digest !== digest)
        throw new Error(`${name} is ${index.digest} in the bundle; the release says ${digest}`);
      said(`${to.name}:${tag}@${digest} (${attached} attached)`);
    } finally {
      await to.close();
    }
  }
}
