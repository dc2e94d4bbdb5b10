/** Takes the data plane's binary out of a release, so that what is tested is what is released. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TESTED_PROGRAM } from "./attest/gate.ts";
import { fileOf } from "./image/read.ts";
import { Layout } from "./oci/layout.ts";
import { digestOf, Index, parseDocument, platformName } from "./oci/model.ts";
import { nameOfPlatform, platformHere } from "./platform.ts";

/** Writes this machine's binary of the release in `dir` into `out`, and prints its digest. */
export async function unpack(dir: string, out: string): Promise<void> {
  const layout = await Layout.open(join(dir, "images"));
  const index = await layout.document("proxy");
  if (index === undefined) throw new Error(`${dir} has no image proxy`);
  const wanted = nameOfPlatform(platformHere());
  const { manifests } = parseDocument(Index, index.bytes, "proxy");
  const image = manifests.find(({ platform }) => platformName(platform) === wanted);
  if (image === undefined) throw new Error(`the image proxy is not there for ${wanted}`);
  const binary = await fileOf(layout, image.digest, TESTED_PROGRAM);
  if (binary === undefined) throw new Error(`${image.digest} holds no ${TESTED_PROGRAM}`);
  await mkdir(out, { recursive: true });
  await writeFile(join(out, TESTED_PROGRAM), binary, { mode: 0o755 });
  process.stdout.write(`${join(out, TESTED_PROGRAM)} ${digestOf(binary)}\n`);
}
