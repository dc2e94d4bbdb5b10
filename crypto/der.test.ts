import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {
  DerError,
  DerReader,
  oid,
  readBits,
  readBoolean,
  readOid,
  readOnly,
  readSmall,
  readTime,
} from "./der.ts";
import { readUnsigned, sequence, Tag, time, tlv, unsigned } from "./der.ts";

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const refused = (run: () => unknown): void => {
  assert.throws(run, DerError);
};

test("what is written is read back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 30 }), fc.uint8Array({ maxLength: 70_000 - 5000 }), (tag, body) => {
      fc.pre(body.length < 65_000);
      const value = readOnly(tlv(tag, body), tag);
      assert.deepEqual(Buffer.from(value.body), Buffer.from(body));
    }),
  );
});

test("lengths that are not in their shortest form, indefinite, too long or past the end are refused", () => {
  for (const hex of [
    "0480",
    "048101",
    "04810100",
    "0482000100",
    "0483000001aa",
    "04",
    "0401",
    "0484000000010a",
    "1f0100",
  ]) {
    refused(() => readOnly(bytes(hex), 0x04));
  }
});

test("a value longer than the bound is refused before it is looked at", () => {
  refused(() => new DerReader(new Uint8Array(64 * 1024 + 1)));
});

test("trailing bytes are refused", () => {
  refused(() => readOnly(bytes("0500ff"), Tag.null));
});

test("integers have one form and are not negative", () => {
  for (const hex of ["0200", "0201ff", "02020001", "0202ff80"])
    refused(() => readUnsigned(readOnly(bytes(hex), 2)));
  refused(() => readSmall(readOnly(bytes("0205008000000"), 2)));
  assert.equal(readSmall(readOnly(bytes("02020080"), 2)), 128);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (magnitude) => {
      const read = readUnsigned(readOnly(unsigned(magnitude), 2));
      assert.equal(
        BigInt(`0x${Buffer.from(read).toString("hex")}`),
        BigInt(`0x${Buffer.from(magnitude).toString("hex")}`),
      );
    }),
  );
});

test("booleans are 00 or ff, bit strings end on a byte", () => {
  refused(() => readBoolean(readOnly(bytes("010101"), 1)));
  refused(() => readBits(readOnly(bytes("03020780"), 3)));
  refused(() => readBits(readOnly(bytes("0300"), 3)));
  assert.equal(readBoolean(readOnly(bytes("0101ff"), 1)), true);
});

test("object identifiers go both ways, and have one form", () => {
  for (const dotted of [
    "1.2.840.113549.1.9.14",
    "2.5.29.17",
    "0.9.2342",
    "2.16.840.1.101.3.4.4.2",
    "2.999.1",
  ]) {
    assert.equal(readOid(readOnly(oid(dotted), Tag.oid)), dotted);
  }
  for (const hex of ["0600", "060180", "06032a8001", "060186", "06062affffffff7f"]) {
    refused(() => readOid(readOnly(bytes(hex), Tag.oid)));
  }
});

test("times are UTCTime until 2049 and GeneralizedTime after, and go both ways to the second", () => {
  const [first, last] = [Date.parse("1950-01-01T00:00:00Z"), Date.parse("9999-12-31T23:59:59Z")];
  fc.assert(
    fc.property(fc.integer({ min: first / 1000, max: Math.floor(last / 1000) }), (seconds) => {
      const encoded = time(seconds * 1000);
      const value = new DerReader(encoded).any();
      assert.equal(readTime(value), seconds * 1000);
      const isUtc = new Date(seconds * 1000).getUTCFullYear() < 2050;
      assert.equal(value.tag, isUtc ? Tag.utcTime : Tag.generalizedTime);
    }),
  );
});

test("times in other forms, and times that do not exist, are refused", () => {
  for (const text of [
    "2601010000Z",
    "260101000000+0100",
    "260230000000Z",
    "261301000000Z",
    "260101250000Z",
    "20260101000000.5Z",
  ]) {
    const tag = text.length > 14 ? Tag.generalizedTime : Tag.utcTime;
    refused(() => readTime({ tag, body: new TextEncoder().encode(text), raw: new Uint8Array() }));
  }
});

test("no bytes make the reader throw anything but its own error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (junk) => {
      try {
        const reader = new DerReader(junk);
        while (!reader.done) reader.any();
      } catch (error) {
        assert.ok(error instanceof DerError);
      }
    }),
    { numRuns: 2000 },
  );
});

test("a sequence holds its parts in order", () => {
  assert.deepEqual(
    Buffer.from(sequence(bytes("0500"), bytes("0101ff"))),
    Buffer.from(bytes("300505000101ff")),
  );
});
