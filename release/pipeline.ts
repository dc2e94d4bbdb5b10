/** From a commit to everything that a release holds, unsigned: what a release and the proof by rebuilding have in common. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fetchInputs, type Inputs } from "./inputs.ts";
import type { KindName } from "./kinds.ts";
import { Layout } from "./oci/layout.ts";
import type { Platform } from "./platform.ts";
import type { Source } from "./source.ts";
import { artifactsAll, buildAll, imageAll, type Made } from "./stages.ts";

/** What is to be made, and where. */
export interface Order {
  /** Folder of the result; its layout must not be there yet. */
  readonly out: string;
  /** Scratch folder. */
  readonly work: string;
  /** Where fetched packages are kept between releases. */
  readonly cache: string;
  readonly names: readonly KindName[];
  readonly platforms: readonly Platform[];
  /** Where the images will lie: charts name them. */
  readonly repository: string;
  /** Is told what each stage took. */
  readonly say: (line: string) => void;
}

export interface Outcome {
  readonly layout: Layout;
  readonly inputs: Inputs;
  readonly made: readonly Made[];
  /** The definitions as printed, where they are among the kinds. */
  readonly crds: Buffer | undefined;
}

async function timed<T>(say: Order["say"], title: string, work: Promise<T>): Promise<T> {
  const began = process.hrtime.bigint();
  const result = await work;
  say(`√ ${title} (${Math.round(Number(process.hrtime.bigint() - began) / 1e9)} s)`);
  return result;
}

/** Runs all stages. */
export async function makeAll(source: Source, order: Order): Promise<Outcome> {
  const { out, work, cache, names, platforms, repository, say } = order;
  const fetching = fetchInputs(source, { dir: join(work, "inputs"), cache, platforms });
  const inputs = await timed(say, "inputs fetched and checked", fetching);
  for (const { name, platform, reason } of inputs.absent)
    say(`· not built: ${name} for ${platform}: ${reason}`);
  const dir = join(work, "build");
  const building = buildAll(source, inputs, { dir, names });
  const built = await timed(say, "everything built twice, without network, alike", building);
  await mkdir(out, { recursive: true });
  const layout = await Layout.create(join(out, "images"));
  const making = { source, inputs, built, names };
  const images = await timed(say, "images written", imageAll(layout, making));
  const printing = artifactsAll(layout, { ...making, images, repository, dir, out });
  const { all, crds } = await timed(say, "charts, definitions and archives written", printing);
  return { layout, inputs, made: [...images, ...all], crds };
}
