import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { test } from "node:test";
import { emptySnapshot, type Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import type { KeyLocation, VerificationKey } from "../model/authentication.ts";
import { keyOfLocation } from "../model/jwks.ts";
import { fetchKeySet } from "./key_fetch.ts";
import { followKeys } from "./key_sets.ts";

const LOCATION: KeyLocation = {
  type: "uri",
  uri: "https://issuer.example/keys",
  caBundle: undefined,
  refreshMs: 5,
};

function key(id: string): VerificationKey {
  return { id, algorithms: ["EdDSA"], material: { type: "point", point: new Uint8Array(32) } };
}

function snapshotWith(keys: KeyLocation | undefined): Snapshot {
  const empty = emptySnapshot();
  if (keys === undefined) return empty;
  const meta = {
    namespace: "prod",
    name: "users",
    uid: "",
    labels: {},
    annotations: {},
    createdMs: 0,
    isDeleting: false,
    owner: undefined,
  };
  const users = {
    meta,
    issuer: "i",
    audiences: ["a"],
    keys,
    algorithms: undefined,
    skewSeconds: 0,
    sources: [],
    claims: [],
    forwardsToken: false,
    claimHeaders: [],
  };
  return { ...empty, JWTAuthentication: new Map([["prod/users", users]]) };
}

test("keys are rotated, outlive failures, and go with the object that names them", async () => {
  const stop = new AbortController();
  const answers: (readonly string[] | Error)[] = [["a"], new Error("away"), ["a", "b"], new Error("away")];
  const snapshots = new Latest(snapshotWith(LOCATION));
  const lines: string[] = [];
  const follower = followKeys(snapshots, {
    fetch: () => {
      const answer = answers.shift() ?? new Error("away");
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve({ keys: answer.map(key), problems: [] });
    },
    log: (_level, message) => void lines.push(message),
    signal: stop.signal,
  });
  const seen: (readonly (string | undefined)[] | undefined)[] = [];
  const { promise: emptied, resolve } = Promise.withResolvers<void>();
  follower.sets.listen((sets) => {
    seen.push(sets.get(keyOfLocation(LOCATION))?.keys.map(({ id }) => id));
    if (seen.length === 2) {
      assert.equal(follower.reports()[0]?.failures, 1);
      snapshots.set(snapshotWith(undefined));
    }
    if (sets.size === 0) resolve();
  });
  await emptied;
  assert.deepEqual(seen, [["a"], ["a", "b"], undefined]);
  assert.deepEqual(follower.reports(), []);
  assert.ok(lines.includes("key set cannot be fetched; the last one stays in force"));
  stop.abort();
  await follower.done;
});

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test("what does not speak verified TLS is no issuer", async () => {
  const plain = createServer((_, response) => void response.end('{"keys":[]}'));
  const port = await listening(plain);
  try {
    const location: KeyLocation = { ...LOCATION, uri: `https://127.0.0.1:${port}/` };
    await assert.rejects(fetchKeySet(location, AbortSignal.timeout(5_000)));
  } finally {
    plain.close();
  }
});
