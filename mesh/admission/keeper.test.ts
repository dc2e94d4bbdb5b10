import assert from "node:assert/strict";
import { test } from "node:test";
import { KEY, LIFE_MS, STAGE_MS, carries, mint, type Found } from "./certificate.ts";
import {
  RACES_MAX,
  look,
  type CertificateStore,
  type FoundConfiguration,
  type KeeperEvent,
} from "./keeper.ts";

const NOW = Date.UTC(2026, 10, 21);
const NAMES = ["linkerd-sp-validator.linkerd.svc"];
const signal = AbortSignal.timeout(30_000);

class Memory implements CertificateStore {
  found: Found = { type: "absent" };
  version = 0;
  bundles: string[] = ["", ""];
  isKeptElsewhere = false;
  /** Runs before a write is judged: what another replica does meanwhile. */
  meanwhile: (() => void) | undefined;

  async secret() {
    return { found: this.found, version: this.found.type === "absent" ? undefined : String(this.version) };
  }
  async writeSecret(text: Readonly<Record<string, string>>, version: string | undefined) {
    this.meanwhile?.();
    const is = this.found.type === "absent" ? undefined : String(this.version);
    if (version !== is) return false;
    this.found = { type: "ours", text };
    this.version += 1;
    return true;
  }
  async configurations(): Promise<readonly FoundConfiguration[]> {
    const { bundles, isKeptElsewhere } = this;
    return [{ name: "webhooks", version: "1", isKeptElsewhere, bundles }];
  }
  async writeBundle(_configuration: FoundConfiguration, bundle: string) {
    this.bundles = this.bundles.map(() => bundle);
    return true;
  }
}

const options = (store: CertificateStore, events: KeeperEvent[] = [], nowMs = NOW) => ({
  store,
  names: NAMES,
  nowMs: () => nowMs,
  heard: (event: KeeperEvent) => void events.push(event),
});

test("a first look makes the Secret, fills every webhook's bundle, and serves", async () => {
  const store = new Memory();
  const events: KeeperEvent[] = [];
  const material = await look(options(store, events), signal);
  assert.ok(material?.bundle !== undefined);
  assert.deepEqual(store.bundles, [material.bundle, material.bundle]);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["written", "bundled"],
  );
});

test("of two replicas that begin together both serve what the first has written", async () => {
  const store = new Memory();
  const rival = mint(NAMES, NOW);
  store.meanwhile = () => {
    store.meanwhile = undefined;
    store.found = {
      type: "ours",
      text: {
        [KEY.certificates]: rival.certificates,
        [KEY.privateKey]: rival.privateKey,
        [KEY.bundle]: rival.authority,
      },
    };
    store.version += 1;
  };
  assert.equal((await look(options(store), signal))?.certificates, rival.certificates);
});

test("a Secret that changes without end is an error, not an endless loop", async () => {
  const store = new Memory();
  store.meanwhile = () => {
    store.found = { type: "ours", text: {} };
    store.version += 1;
  };
  await assert.rejects(look(options(store), signal), new RegExp(`changed ${RACES_MAX} times`));
});

test("a bundle that somebody wiped is filled in again, and one kept elsewhere is left alone", async () => {
  const store = new Memory();
  await look(options(store), signal);
  store.bundles = ["", ""];
  const material = await look(options(store), signal);
  assert.deepEqual(store.bundles, [material?.bundle, material?.bundle]);
  store.bundles = ["theirs"];
  store.isKeptElsewhere = true;
  await look(options(store), signal);
  assert.deepEqual(store.bundles, ["theirs"]);
});

test("a rotation puts the new authority into the bundle before its leaf is served", async () => {
  const store = new Memory();
  const first = await look(options(store), signal);
  const due = NOW + LIFE_MS - 86_400_000;
  const staged = await look(options(store, [], due), signal);
  assert.equal(staged?.certificates, first?.certificates);
  assert.ok(carries(store.bundles[0] ?? "", staged?.bundle ?? "x"));
  const promoted = await look(options(store, [], due + STAGE_MS + 60_000), signal);
  assert.notEqual(promoted?.certificates, first?.certificates);
  assert.ok(carries(store.bundles[0] ?? "", first?.bundle ?? "x"), "the old authority is still trusted");
});
