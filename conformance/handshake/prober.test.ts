/** The prober itself, held against another TLS 1.3 implementation: the platform's. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { connect } from "node:net";
import test, { after, before } from "node:test";
import { createServer, type Server } from "node:tls";
import { describe, handshakeCases, OFFER, satisfies } from "./cases.ts";
import { issue, newAuthority } from "./credentials.ts";
import { probe, type Probe } from "./prober.ts";

const IDENTITY = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const NAMES = { dns: IDENTITY, uri: "spiffe://cluster.local/ns/shop/sa/web" };
let server: Server;
let good: Probe;
let around: Parameters<typeof handshakeCases>[0];

const pemOf = (der: Buffer): string => new X509Certificate(der).toString();

before(async () => {
  const [authority, stranger] = await Promise.all([newAuthority("anchor"), newAuthority("stranger")]);
  const own = await issue(authority, { ...NAMES, days: 1 });
  server = createServer(
    {
      key: own.privateKeyPem,
      cert: own.chain.map((der) => pemOf(der)).join(""),
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
      ecdhCurve: "X25519MLKEM768:X25519:P-256:P-384",
      ALPNProtocols: ["echo"],
    },
    (socket) => {
      socket.on("error", () => socket.destroy());
      socket.pipe(socket);
    },
  );
  server.on("tlsClientError", () => undefined);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => resolve());
  await promise;
  good = {
    ...OFFER,
    serverName: IDENTITY,
    alpn: ["echo"],
    credentials: await issue(authority, { ...NAMES, days: 1 }),
    expect: { identity: IDENTITY, anchorsPem: authority.certificate },
    talk: Buffer.from("ping"),
    tamper: {},
  };
  around = {
    good,
    expired: await issue(authority, { ...NAMES, days: -1 }),
    stranger: await issue(stranger, { ...NAMES, days: 1 }),
    isMutualRequired: true,
    isAlpnRequired: false,
  };
});
after(() => server.close());

async function attempt(one: Probe): ReturnType<typeof probe> {
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return probe(connect(address.port, "127.0.0.1"), one);
}

test("a right handshake carries data both ways under keys that both sides derived alone", async () => {
  const outcome = await attempt(good);
  assert.ok(outcome.type === "established", describe(outcome));
  assert.equal(outcome.answer.toString(), "ping");
  assert.equal(outcome.isMutual, true);
  assert.equal(outcome.alpn, "echo");
});

test("a server that proves to be someone else, or below another anchor, is noticed", async () => {
  const other = await newAuthority("other");
  const wrongName = await attempt({ ...good, expect: { ...good.expect, identity: "admin.shop" } });
  const wrongAnchor = await attempt({ ...good, expect: { ...good.expect, anchorsPem: other.certificate } });
  assert.equal(wrongName.type, "misbehaved");
  assert.equal(wrongAnchor.type, "misbehaved");
});

/** RFC 8446 §4.2.8 lets a server look for the first; Node checks certificates after the handshake and then just closes. */
const OPENSSL_DIFFERS = [
  "a hello with two shares for one group is refused: established, group 0x11ec, TLS_AES_256_GCM_SHA384",
  "a certificate that has ended is refused: closed",
  "a certificate of an unknown authority is refused: closed",
];

test("every case comes out as wanted against this implementation, or differs in a known way", async () => {
  const differing: string[] = [];
  for (const { name, probe: one, want } of handshakeCases(around)) {
    const outcome = await attempt(one);
    if (!satisfies(outcome, want)) differing.push(`${name}: ${describe(outcome)}`);
  }
  assert.deepEqual(differing, OPENSSL_DIFFERS);
});
