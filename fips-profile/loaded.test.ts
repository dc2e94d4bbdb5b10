import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RECORD, recordOf, recordedModule } from "./loaded.ts";

const CLAIM = {
  component: "",
  module: "OpenSSL FIPS Provider",
  version: "3.1.2",
  crate: "openssl-src 300.1.4+3.1.2",
  checksum: "",
  certificates: [],
  sources: [],
  note: "",
} as const;

test("a module is what its record says only if the record is of the very file beside it", () => {
  const folder = mkdtempSync(join(tmpdir(), "hauberk-fips-"));
  try {
    assert.equal(recordedModule(folder), undefined);
    const provider = Buffer.from("provider");
    writeFileSync(join(folder, "fips.so"), provider);
    writeFileSync(join(folder, RECORD), JSON.stringify(recordOf(CLAIM, provider)));
    assert.equal(recordedModule(folder)?.version, "3.1.2");
    writeFileSync(join(folder, "fips.so"), "altered");
    assert.equal(recordedModule(folder), undefined);
    writeFileSync(join(folder, RECORD), "{}");
    assert.equal(recordedModule(folder), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
