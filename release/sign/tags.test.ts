import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { isSealedBy } from "@hauberk/crypto/dsse.ts";
import { z } from "zod";
import { attest } from "../attest/attest.ts";
import { publicPem } from "../attest/keys.ts";
import { Layout } from "../oci/layout.ts";
import { digestOf, Manifest, MediaType, parseDocument } from "../oci/model.ts";
import { claimsOf } from "../verify/release.fixture.ts";
import { pushTags, signSimply } from "./tags.ts";

const AT = "2023-11-14T22:13:20.000Z";

/** A registry's end, in memory. */
function registry() {
  const blobs = new Map<string, Buffer>();
  const tags = new Map<string, Buffer>();
  const to = {
    pushBlob: async (bytes: Uint8Array) => {
      blobs.set(digestOf(bytes), Buffer.from(bytes));
      return digestOf(bytes);
    },
    pushDocument: async (
      bytes: Uint8Array,
      { mediaType, reference = "" }: { readonly mediaType: string; readonly reference?: string },
    ) => {
      tags.set(reference, Buffer.from(bytes));
      const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
      return { descriptor, isSubjectKnown: false };
    },
  };
  return { blobs, tags, to };
}

const Sealed = z.object({
  payloadType: z.string(),
  payload: z.string(),
  signatures: z.array(z.object({ sig: z.string() })),
});

const bytes = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

void test("D-03: the shapes before bundles hold the same statements, by the same key", async () => {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-tags-"));
  try {
    const layout = await Layout.create(join(dir, "images"));
    const subject = await layout.put(Buffer.from("{}"), MediaType.manifest);
    const signer = {
      classical: generateKeyPair("ecdsa-p256-sha256"),
      postQuantum: generateKeyPair("ml-dsa-87"),
    };
    const claims = claimsOf("1.0.0", "a".repeat(40));
    await attest(layout, { subject, name: "proxy", claims }, { signer, at: AT });
    await signSimply(layout, subject, { reference: "images.test/proxy", key: signer.classical, at: AT });
    const { blobs, tags, to } = registry();
    await pushTags(layout, to, subject.digest);
    const tag = subject.digest.replace(":", "-");
    assert.deepEqual([...tags.keys()].toSorted(), [`${tag}.att`, `${tag}.sig`]);

    const layersOf = (suffix: string) =>
      parseDocument(Manifest, tags.get(`${tag}.${suffix}`) ?? Buffer.of(), suffix).layers;
    const [simple, ...more] = layersOf("sig");
    assert.ok(simple !== undefined && more.length === 0);
    const payload = blobs.get(simple.digest) ?? Buffer.of();
    assert.ok(payload.includes(`"docker-manifest-digest":"${subject.digest}"`));
    assert.ok(payload.includes(`"docker-reference":"images.test/proxy"`));
    const signature = Buffer.from(simple.annotations?.["dev.cosignproject.cosign/signature"] ?? "", "base64");
    assert.ok(verify("sha256", payload, createPublicKey(publicPem(signer.classical.publicKey)), signature));

    const attested = layersOf("att");
    assert.equal(attested.length, 4);
    for (const { digest } of attested) {
      const sealed = parseDocument(Sealed, blobs.get(digest) ?? Buffer.of(), digest);
      const envelope = {
        payloadType: sealed.payloadType,
        payload: bytes(sealed.payload),
        signatures: sealed.signatures.map(({ sig }) => ({ keyId: "", signature: bytes(sig) })),
      };
      assert.ok(isSealedBy(envelope, signer.classical.publicKey));
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

void test("what nothing is attached to gets no tag", async () => {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-tags-"));
  try {
    const layout = await Layout.create(join(dir, "images"));
    const { tags, to } = registry();
    await pushTags(layout, to, digestOf(Buffer.from("nothing")));
    assert.equal(tags.size, 0);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
