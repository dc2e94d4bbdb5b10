/** Keys of token issuers, fetched by the control plane over TLS: rotated, kept when the issuer fails, and verified. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { until } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce } from "../wire.ts";
import { example, serverOnly, tokenBy, type AuthzWorld } from "./authz.ts";

const run = promisify(execFile);
const FILE = "keys";
const ISSUER_PORT = 8443;
/** Longer than every test here together. */
const ISSUER_MS_MAX = 120_000;
/** The shortest refresh that a policy may ask for, and more than its jitter. */
const REFRESHED_MS = 6_500;

/** A certificate for an address, and its key. */
async function certify(dir: string, name: string, ip: string): Promise<{ key: string; certificate: string }> {
  const key = join(dir, `${name}.key`);
  const certificate = join(dir, `${name}.pem`);
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const names = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=IP:${ip}`];
  await run("openssl", [
    "req",
    "-x509",
    ...kind,
    "-keyout",
    key,
    "-out",
    certificate,
    "-days",
    "1",
    ...names,
  ]);
  return { key, certificate };
}

/** The page's example, with keys by URI in place of its own. */
function byUri(ip: string, caBundle: string): string {
  const keys = { jwksUri: `https://${ip}:${ISSUER_PORT}/keys`, jwksRefresh: "5s", caBundle };
  const [before, rest] = example("Tokens (JWT)").split(/^ {2}jwks:$/m);
  const [, after] = rest?.split(/^(?= {2}claims:$)/m) ?? [];
  assert.ok(before !== undefined && after !== undefined);
  const lines = Object.entries(keys).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}\n`);
  return `${serverOnly()}---\n${before}${lines.join("")}${after}`;
}

function jwk(key: KeyObject, kid: string): object {
  return { ...key.export({ format: "jwk" }), kid };
}

/** Needs the world of `authz`; the issuer runs in `outside-0`. */
export function authzKeys(world: () => AuthzWorld): void {
  const first = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const second = generateKeyPairSync("ec", { namedCurve: "P-256" });
  let dir = "";
  let ip = "";
  let issuer: { key: string; certificate: string };
  const publish = (keys: readonly object[]): Promise<void> =>
    writeFile(join(dir, "jwks.json"), JSON.stringify({ keys }));
  const status = async (key: KeyObject, kid: string): Promise<number> => {
    const headers = { Authorization: `Bearer ${tokenBy(key, {}, { kid })}` };
    const { mesh, to } = world();
    return (await fetchOnce(mesh.place("web-0"), to("web-0", AppPort.http), { headers })).status;
  };

  describe("keys of token issuers", () => {
    before(async () => {
      dir = await mkdtemp(join(tmpdir(), "hb-keys-"));
      ip = await world().mesh.ip("outside-0");
      issuer = await certify(dir, "issuer", ip);
      await publish([jwk(first.publicKey, "first")]);
      const program = join(import.meta.dirname, "..", "issuer.ts");
      const files = [issuer.key, issuer.certificate, join(dir, "jwks.json")];
      // Ends with its pod, or after its time.
      world()
        .mesh.place("outside-0")
        .run(process.execPath, [program, String(ISSUER_PORT), ...files], ISSUER_MS_MAX)
        .catch(() => undefined);
    });
    after(async () => {
      await world().mesh.withdraw(FILE);
      await rm(dir, { recursive: true, force: true });
    });

    test("the control plane fetches them, and what is rotated in and out follows", async () => {
      await world().mesh.applyYaml(FILE, byUri(ip, await readFile(issuer.certificate, "utf8")));
      await until(
        "another key does not count",
        async () => (await status(second.privateKey, "second")) === 401,
      );
      assert.equal(await status(first.privateKey, "first"), 200);
      await publish([jwk(second.publicKey, "second")]);
      await until("the second key counts", async () => (await status(second.privateKey, "second")) === 200);
      assert.equal(await status(first.privateKey, "first"), 401);
    });

    test("an issuer that fails takes nothing away", async () => {
      await writeFile(join(dir, "jwks.json"), "out of order");
      await sleep(REFRESHED_MS);
      assert.equal(await status(second.privateKey, "second"), 200);
    });

    test("an issuer whose certificate is not trusted has no keys, and its policy admits nobody", async () => {
      const other = await certify(dir, "other", ip);
      await publish([jwk(second.publicKey, "second")]);
      await world().mesh.applyYaml(FILE, byUri(ip, await readFile(other.certificate, "utf8")));
      await until("nobody is admitted", async () => (await status(second.privateKey, "second")) === 403);
    });
  });
}
