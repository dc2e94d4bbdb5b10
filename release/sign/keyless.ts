/** Signing with a key that lives for one statement, and a certificate that says who held it. */
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { preAuthentication } from "@hauberk/crypto/dsse.ts";
import { CIContextProvider, FulcioSigner, TSAWitness, type IdentityProvider } from "@sigstore/sign";
import { writeCertificateBundle } from "../attest/bundle.ts";
import { logSignature } from "./rekor.ts";
import type { Services } from "./services.ts";

/** One answer of the certificate authority or the clock. */
const ANSWER_MS_MAX = 30_000;
const RETRIES_MAX = 2;
/** Audience that Fulcio expects in a token. */
const AUDIENCE = "sigstore";

/** A bundle of one statement, sealed with a certificate. */
export type Seal = (payloadType: string, payload: Uint8Array) => Promise<Buffer>;

/**
 * Who signs, as a workload's OpenID Connect token says: from `file`, which is read for each statement since tokens are short-lived
 * and the platform renews them, or from the CI system's own service (`SIGSTORE_ID_TOKEN`, GitHub Actions).
 */
export function identityFrom(file: string | undefined): IdentityProvider {
  if (file === undefined) return new CIContextProvider(AUDIENCE);
  return {
    getToken: async () => {
      const token = (await readFile(file, "utf8")).trim();
      // The client below would print a token that it cannot read.
      if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) throw new Error(`${file} holds no token`);
      return token;
    },
  };
}

/** Certificate from Fulcio, entry in Rekor, timestamp of an RFC 3161 authority: for each statement anew. */
export function sealWith(services: Services, identityProvider: IdentityProvider): Seal {
  const patience = { timeout: ANSWER_MS_MAX, retry: RETRIES_MAX };
  const clock = new TSAWitness({ tsaBaseURL: services.clock, ...patience });
  return async (payloadType, payload) => {
    const message = preAuthentication(payloadType, payload);
    const signer = new FulcioSigner({ fulcioBaseURL: services.authority, identityProvider, ...patience });
    const { signature, key } = await signer.sign(Buffer.from(message));
    if (key.$case !== "x509Certificate") throw new Error(`${services.authority} gave no certificate`);
    const certificate = new X509Certificate(key.certificate).raw;
    const dsseEnvelope = {
      payloadType,
      payload: Buffer.from(payload),
      signatures: [{ keyid: "", sig: signature }],
    };
    const [entry, { rfc3161Timestamps }] = await Promise.all([
      logSignature(services.log, { message, signature, certificate }),
      clock.testify({ $case: "dsseEnvelope", dsseEnvelope }),
    ]);
    return writeCertificateBundle(
      { payloadType, payload, signature },
      { certificate, entry, timestamps: rfc3161Timestamps.map(({ signedTimestamp }) => signedTimestamp) },
    );
  };
}
