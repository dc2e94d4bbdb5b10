import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createLocalJWKSet, jwtVerify } from "jose";
import { z } from "zod";
import { ALGORITHMS } from "../model/authentication.ts";
import { VECTORS } from "./token-vectors.ts";

const Stored = z.object({
  issuer: z.string(),
  audience: z.string(),
  now: z.number(),
  jwks: z.object({ keys: z.array(z.looseObject({ kty: z.string() })) }),
  tokens: z.array(z.object({ name: z.string(), token: z.string(), expect: z.string() })),
});

/** Refused by the proxy, which is stricter, and not by every implementation. */
const STRICTER = new Set([
  "a second aud",
  "whitespace",
  "bits that stand for nothing",
  "oversized",
  "padding",
  "the other base64 alphabet",
]);

test("the stored tokens are what another implementation takes them for", async () => {
  const { issuer, audience, now, jwks, tokens } = Stored.parse(JSON.parse(readFileSync(VECTORS, "utf8")));
  const keys = createLocalJWKSet(jwks);
  const options = {
    issuer,
    audience,
    currentDate: new Date(now * 1000),
    clockTolerance: 30,
    algorithms: [...ALGORITHMS],
    requiredClaims: ["exp"],
  };
  const verify = (token: string): Promise<boolean> =>
    jwtVerify(token, keys, options).then(
      () => true,
      () => false,
    );
  assert.ok(tokens.length > 40, `only ${tokens.length} tokens`);
  for (const { name, token, expect } of tokens) {
    if (!STRICTER.has(name)) assert.equal(await verify(token), expect === "ok", name);
  }
});
