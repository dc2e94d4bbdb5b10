import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { createServer, request } from "node:https";
import { once } from "node:events";
import { test } from "node:test";
import { makeAuthority, makeClient, makeServer } from "./certificates.ts";

const NOW = Date.now();

test("a client's certificate says its user and group, as the API server reads them", () => {
  const authority = makeAuthority("kubernetes", NOW);
  const node = new X509Certificate(
    makeClient(authority, { user: "system:node:dev-1", group: "system:nodes" }, NOW).certificate,
  );
  assert.equal(node.subject, "O=system:nodes\nCN=system:node:dev-1");
  assert.ok(node.verify(new X509Certificate(authority.credential.certificate).publicKey));
});

test("OpenSSL accepts both ends: a server by address, a client by its authority", async () => {
  const authority = makeAuthority("kubernetes", NOW);
  const server = makeServer(authority, { user: "api", names: ["localhost", "127.0.0.1"], nowMs: NOW });
  const client = makeClient(authority, { user: "admin" }, NOW);
  const ca = authority.credential.certificate;
  const listening = createServer(
    { cert: server.certificate, key: server.key, ca, requestCert: true, rejectUnauthorized: true },
    (_, response) => response.end("seen"),
  );
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  try {
    const address = listening.address();
    assert.ok(typeof address === "object" && address !== null);
    const sent = request({
      host: "127.0.0.1",
      port: address.port,
      ca,
      cert: client.certificate,
      key: client.key,
      agent: false,
    });
    sent.end();
    const [response] = await once(sent, "response");
    assert.equal(response.statusCode, 200);
    response.resume();
    await once(response, "end");
  } finally {
    listening.close();
  }
});
