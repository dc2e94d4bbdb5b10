/** Images and what is said of them, in the registry: cosign, slsa-verifier, crane and sigstore-python. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ask, must, program, python } from "../programs.ts";
import type { Question } from "../suite.ts";
import { IMAGE, type World } from "../world.ts";

/** What the builder says and what the gate says, by the types that cosign knows or by their URIs. */
const TYPES = {
  builder: ["https://sigstore.dev/cosign/sign/v1", "slsaprovenance1", "cyclonedx", "openvex"],
  gate: ["https://slsa.dev/verification_summary/v1", "https://in-toto.io/attestation/test-result/v0.1"],
} as const;
type PartyName = keyof typeof TYPES;
const PARTIES = ["builder", "gate"] as const;
const KEYS = { builder: "cosign.pub", gate: "gate.pub" } as const;

const PARTS = ["index", "platform"] as const;
type Part = (typeof PARTS)[number];

const imageOf = ({ repository, index, platform }: World, part: Part): string =>
  `${repository}/${IMAGE}@${part === "index" ? index : platform}`;

/** By the party's long-lived key, which no log has seen. */
const byKey = ({ release }: World, party: PartyName): readonly string[] => [
  // prettier-ignore
  "--key",
  join(release, KEYS[party]),
  "--private-infrastructure",
];

/** By the name in a certificate, of a Sigstore of ours. */
const byName = ({ sigstore }: World, workload: string, issuer = sigstore.issuer.url): readonly string[] => [
  // prettier-ignore
  "--trusted-root",
  sigstore.trustedRoot,
  "--certificate-identity",
  sigstore.identityOf(workload),
  "--certificate-oidc-issuer",
  issuer,
];

const OLD_SHAPE = ["--new-bundle-format=false", "--insecure-ignore-tlog"] as const;

type Verb = "verify" | "verify-attestation";

async function cosign(
  verb: Verb,
  image: string,
  { how, type }: { readonly how: readonly string[]; readonly type?: string },
) {
  const typed = type === undefined ? [] : ["--type", type];
  return ask(program("cosign"), [verb, "--allow-http-registry", ...how, ...typed, image]);
}

async function accepted(...asked: Parameters<typeof cosign>): Promise<string | undefined> {
  const { code, stdout, stderr } = await cosign(...asked);
  if (code !== 0) return `refused: ${stderr.trim().slice(-600)}`;
  return stdout.trim() === "" ? "accepted, and nothing was shown" : undefined;
}

async function refused(...asked: Parameters<typeof cosign>): Promise<string | undefined> {
  return (await cosign(...asked)).code === 0 ? "accepted" : undefined;
}

const STATEMENTS: readonly Question[] = PARTS.flatMap((part) =>
  PARTIES.flatMap((party) =>
    TYPES[party].flatMap((type): readonly Question[] => [
      {
        name: `cosign, by key: the ${party}'s ${type} of the ${part}`,
        ask: (world) =>
          accepted("verify-attestation", imageOf(world, part), { how: byKey(world, party), type }),
      },
      {
        name: `cosign, by certificate, log and timestamp: the ${party}'s ${type} of the ${part}`,
        ask: (world) =>
          accepted("verify-attestation", imageOf(world, part), { how: byName(world, party), type }),
      },
    ]),
  ),
);

const SHAPES: readonly Question[] = PARTS.flatMap((part): readonly Question[] => [
  {
    name: `cosign verify, by key: the ${part}`,
    ask: (world) => accepted("verify", imageOf(world, part), { how: byKey(world, "builder") }),
  },
  {
    name: `cosign verify, by certificate: the ${part}`,
    ask: (world) => accepted("verify", imageOf(world, part), { how: byName(world, "builder") }),
  },
  {
    name: `cosign verify, by the tag that older tools read: the ${part}`,
    ask: (world) =>
      accepted("verify", imageOf(world, part), {
        how: ["--key", join(world.release, KEYS.builder), ...OLD_SHAPE],
      }),
  },
  ...(["slsaprovenance1", "cyclonedx", "openvex"] as const).map((type) => ({
    name: `cosign, by the tag that older tools read: ${type} of the ${part}`,
    ask: (world: World) =>
      accepted("verify-attestation", imageOf(world, part), {
        how: ["--key", join(world.release, KEYS.builder), ...OLD_SHAPE],
        type,
      }),
  })),
]);

const REFUSALS: readonly Question[] = [
  {
    name: "cosign refuses the builder's provenance by the gate's key",
    ask: (world) =>
      refused("verify-attestation", imageOf(world, "index"), {
        how: byKey(world, "gate"),
        type: "slsaprovenance1",
      }),
  },
  {
    name: "cosign refuses the builder's provenance by the gate's name",
    ask: (world) =>
      refused("verify-attestation", imageOf(world, "index"), {
        how: byName(world, "gate"),
        type: "slsaprovenance1",
      }),
  },
  {
    name: "cosign refuses the builder's name as another issuer knows it",
    ask: (world) =>
      refused("verify-attestation", imageOf(world, "index"), {
        how: byName(world, "builder", "https://issuer.invalid"),
        type: "slsaprovenance1",
      }),
  },
  {
    name: "cosign finds no statement of a type that was not made",
    ask: (world) =>
      refused("verify-attestation", imageOf(world, "index"), {
        how: byKey(world, "builder"),
        type: "spdxjson",
      }),
  },
];

async function verifySummary(
  { release, index, repository }: World,
  { level, key }: { readonly level: string; readonly key: string },
) {
  const path = join(release, `${IMAGE}.vsa.json`);
  const Sealed = z.object({ signatures: z.array(z.object({ keyid: z.string() })).min(1) });
  const hint = Sealed.parse(JSON.parse(await readFile(path, "utf8"))).signatures[0]?.keyid ?? "";
  // prettier-ignore
  return ask(program("slsa-verifier"), ["verify-vsa", "--attestation-path", path, "--subject-digest", index,
    "--verifier-id", "https://hauberk.io/gate/v1", "--resource-uri", `oci://${repository}/${IMAGE}`,
    "--verified-level", level, "--public-key-path", join(release, key), "--public-key-id", hint]);
}

const SUMMARIES: readonly Question[] = [
  {
    name: "slsa-verifier: the gate's summary says build level 1",
    ask: async (world) => {
      const { code, stderr } = await verifySummary(world, { level: "SLSA_BUILD_LEVEL_1", key: KEYS.gate });
      return code === 0 ? undefined : stderr.trim().slice(-600);
    },
  },
  {
    name: "slsa-verifier finds no build level 3: it is not claimed",
    ask: async (world) => {
      const { code } = await verifySummary(world, { level: "SLSA_BUILD_LEVEL_3", key: KEYS.gate });
      return code === 0 ? "accepted" : undefined;
    },
  },
  {
    name: "slsa-verifier refuses the gate's summary by the builder's key",
    ask: async (world) => {
      const { code } = await verifySummary(world, { level: "SLSA_BUILD_LEVEL_1", key: KEYS.builder });
      return code === 0 ? "accepted" : undefined;
    },
  },
];

const crane = (...args: readonly string[]) => must(program("crane"), args);

const READERS: readonly Question[] = [
  {
    name: "crane: the version's tag is the digest that the release names",
    ask: async ({ repository, version, index }) => {
      const found = (await crane("digest", `${repository}/${IMAGE}:${version}`)).trim();
      return found === index ? undefined : `${found}, not ${index}`;
    },
  },
  {
    name: "crane: the index names linux/amd64, whose manifest and configuration it reads",
    ask: async ({ repository, index, platform }) => {
      const at = ["--platform", "linux/amd64", `${repository}/${IMAGE}@${index}`] as const;
      const found = (await crane("digest", ...at)).trim();
      const Config = z.object({ os: z.literal("linux"), config: z.object({ User: z.string() }) });
      const { config } = Config.parse(JSON.parse(await crane("config", ...at)));
      if (config.User !== "65532:65532") return `it runs as ${config.User}`;
      return found === platform ? undefined : `${found}, not ${platform}`;
    },
  },
  {
    name: "crane: every layer of the image is what its digest and its configuration say",
    ask: async (world) => {
      await crane("validate", "--remote", imageOf(world, "platform"));
      return undefined;
    },
  },
];

const Attached = z.object({
  manifests: z.array(z.object({ digest: z.string(), artifactType: z.string().optional() })),
});
const Content = z.object({ layers: z.array(z.object({ digest: z.string() })).min(1) });
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

/** Bundles of the release that a certificate signed, as files. */
async function certified({ release, dir }: World): Promise<readonly string[]> {
  const blob = (digest: string) =>
    readFile(join(release, "images", "blobs", "sha256", digest.slice("sha256:".length)), "utf8");
  const { manifests } = Attached.parse(
    JSON.parse(await readFile(join(release, "images", "index.json"), "utf8")),
  );
  const files: string[] = [];
  for (const { digest, artifactType } of manifests) {
    if (artifactType !== BUNDLE) continue;
    const text = await blob(Content.parse(JSON.parse(await blob(digest))).layers[0]?.digest ?? "");
    if (!text.includes(`"certificate"`)) continue;
    const file = join(dir, `bundle-${files.length}.json`);
    await writeFile(file, text);
    files.push(file);
  }
  return files;
}

async function verifyInPython(world: World, identity: string) {
  const { sigstore } = world;
  const script = join(import.meta.dirname, "..", "tools", "verify_bundle.py");
  const outcomes = [];
  for (const file of await certified(world)) {
    const args = [script, sigstore.trustedRoot, file, identity, sigstore.issuer.url];
    outcomes.push(await ask(python, args));
  }
  return outcomes;
}

const PYTHON: readonly Question[] = [
  {
    name: "sigstore-python: eight bundles are the builder's and four the gate's, each by its own name alone",
    ask: async (world) => {
      const counts = [];
      for (const party of PARTIES) {
        const outcomes = await verifyInPython(world, world.sigstore.identityOf(party));
        counts.push(outcomes.filter(({ code }) => code === 0).length);
      }
      return counts.join() === "8,4" ? undefined : `accepted were ${counts.join(" and ")}`;
    },
  },
];

export const IMAGES: readonly Question[] = [
  ...STATEMENTS,
  ...SHAPES,
  ...REFUSALS,
  ...SUMMARIES,
  ...READERS,
  ...PYTHON,
];
