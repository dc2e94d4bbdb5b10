import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { PEM_BYTES_MAX, PemError, readPem, readPemOf, writePem } from "./pem.ts";

test("what is written is read back", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 4 }),
      (values) => {
        const text = values.map((value) => writePem("CERTIFICATE", value)).join("# between\n");
        assert.deepEqual(
          readPemOf(text, "CERTIFICATE").map((der) => Buffer.from(der)),
          values.map((value) => Buffer.from(value)),
        );
      },
    ),
  );
});

test("broken blocks are errors and not skipped", () => {
  const good = writePem("CERTIFICATE", Uint8Array.of(1, 2, 3));
  for (const bad of [
    good.replace("END CERTIFICATE", "END OTHER"),
    good.replace("AQID", "AQ*D"),
    good.replace("AQID", "AQI"),
    good.replace("AQID", ""),
    good.replace("-----END CERTIFICATE-----", ""),
    `${good}-----BEGIN CERTIFICATE-----\n`,
    "x".repeat(PEM_BYTES_MAX + 1),
  ]) {
    assert.throws(() => readPem(bad), PemError);
  }
});

test("a file of certificates holds nothing else", () => {
  const key = writePem("PRIVATE KEY", Uint8Array.of(1));
  assert.throws(() => readPemOf(key, "CERTIFICATE"), PemError);
  assert.throws(() => readPemOf("", "CERTIFICATE"), PemError);
});
