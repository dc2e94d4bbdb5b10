import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { curve, Workshop } from "@hauberk/crypto/openssl-fixture.ts";
import { authorityOf } from "@hauberk/mesh/install/issuer.ts";
import { issuerObjects, printIssuer } from "@hauberk/mesh/install/issuer-objects.ts";
import { parseValues } from "@hauberk/mesh/install/values/values.ts";
import { openIssuer } from "@hauberk/mesh/identity/issuer.ts";
import { readIssuerSecret } from "@hauberk/mesh/identity/issuer-secret.ts";
import { valuesOf } from "./install-flags.ts";
import { IssuerFileError, openIssuerFile } from "./issuer-file.ts";

const shop = new Workshop();
after(() => shop.close());
const NOW_MS = Date.now() + 3_600_000;
const root = shop.make({ name: "root" });
const issuer = shop.make({ name: "issuer", signer: root });
const path = (file: string) => join(shop.dir, file);
const from = ["-inkey", issuer.key, "-in", issuer.certificate, "-certfile", root.certificate];
shop.openssl("pkcs12", "-export", "-legacy", ...from, "-passout", "pass:secret word", "-out", "issuer.p12");
for (const [file, password] of [
  ["password", "secret word\n"],
  ["other", "secret word \n"],
  ["long", "x".repeat(5_000)],
] as const)
  writeFileSync(path(file), password);
const open = (file: string, passwordFile?: string, rootFile?: string) =>
  openIssuerFile(
    {
      file: path(file),
      passwordFile: passwordFile === undefined ? undefined : path(passwordFile),
      rootFile: rootFile === undefined ? undefined : path(rootFile),
    },
    { nowMs: NOW_MS, warn: (sentence) => assert.fail(sentence) },
  );

const List = z.object({
  items: z.tuple([
    z.object({ kind: z.literal("ConfigMap"), data: z.object({ "ca-bundle.crt": z.string() }) }),
    z.looseObject({ kind: z.literal("Secret") }),
  ]),
});

test("what identity import prints is what the identity service takes, in both schemes", async () => {
  const { pem } = await open("issuer.p12", "password");
  for (const scheme of ["linkerd.io/tls", "kubernetes.io/tls"] as const) {
    const objects = issuerObjects(pem, { namespace: "linkerd", scheme });
    const printed = List.parse(JSON.parse(printIssuer(objects, "json")));
    const [roots, secret] = printed.items;
    const read = readIssuerSecret(secret);
    assert.ok(read.ok);
    assert.equal(read.values.scheme, scheme);
    const verdict = openIssuer({ ...read.values, anchors: roots.data["ca-bundle.crt"] }, NOW_MS);
    assert.ok(verdict.ok);
    assert.equal(printIssuer(objects, "yaml").match(/^---\n/gm)?.length, 2);
  }
});

test("an installation takes a container where it takes an issuer", async () => {
  const tree = await valuesOf({
    "identity-issuer-file": path("issuer.p12"),
    "identity-issuer-password-file": path("password"),
  });
  assert.deepEqual(authorityOf(parseValues(tree), NOW_MS), { type: "given" });
  for (const [flags, problem] of [
    [{ "identity-issuer-file": path("issuer.p12"), "identity-issuer-key-file": "x" }, /holds it already/],
    [{ "identity-issuer-password-file": path("password") }, /is of --identity-issuer-file/],
    [
      { "identity-issuer-file": path("issuer.p12"), "identity-issuer-password-file": path("other") },
      /wrong_password/,
    ],
  ] as const)
    await assert.rejects(valuesOf(flags), { name: "ValuesError", message: problem });
});

test("a refusal names the file, what is wrong, what to do, and its code", async () => {
  const weak = shop.make({ name: "weak", key: curve("secp256k1"), signer: root });
  writeFileSync(path("weak.pem"), shop.join(weak.key, weak.certificate, root.certificate));
  writeFileSync(path("bare.pem"), shop.join(issuer.key, issuer.certificate));
  const cases = [
    [["issuer.p12"], "password_needed", /issuer\.p12: it is protected by a password: give the file/],
    [["issuer.p12", "other"], "wrong_password", /a space or line too many/],
    [["issuer.p12", "long"], "password_too_long", /long: .*at most 4096 bytes/],
    [
      ["weak.pem"],
      "weak_key",
      /issuer's certificate \(CN=weak\) has the weak key EC secp256k1: have it issued for/,
    ],
    [["bare.pem"], "no_root", /issued by CN=root, which is not there: add/],
    [["bare.pem", undefined, issuer.key], "no_certificate", /there is no certificate in it/],
  ] as const;
  for (const [[file, password, roots], code, message] of cases)
    await assert.rejects(
      open(file, password, roots),
      (error) => error instanceof IssuerFileError && error.code === code && message.test(error.message),
      code,
    );
  await open("bare.pem", undefined, root.certificate);
});
