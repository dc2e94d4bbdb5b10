/** What is known of vulnerabilities in a release, as an OpenVEX document (specification 0.2.0). Pure. */
import { z } from "zod";
import type { Match } from "./osv.ts";

/** The context by which cosign and scanners know the document. */
export const OPEN_VEX = "https://openvex.dev/ns/v0.2.0";

/** Why a part that has a vulnerability is not affected by it (specification, "status justifications"). */
const Justification = z.enum([
  "component_not_present",
  "vulnerable_code_not_present",
  "vulnerable_code_not_in_execute_path",
  "vulnerable_code_cannot_be_controlled_by_adversary",
  "inline_mitigations_already_exist",
]);

/** What a person found out about one advisory. `fixed` says in which release of ours it ended. */
const Judgement = z.discriminatedUnion("status", [
  z.strictObject({
    status: z.literal("not_affected"),
    justification: Justification,
    statement: z.string().min(20),
  }),
  z.strictObject({ status: z.literal("affected"), action: z.string().min(20) }),
  z.strictObject({ status: z.literal("fixed"), component: z.string(), in: z.string() }),
]);

/** The file of judgements, by advisory. */
export const Triage = z.record(z.string(), Judgement);
export type Triage = z.infer<typeof Triage>;

/** What the advisories were taken from; `undefined` if none were given, which the document says. */
export type Source = { readonly digest: string; readonly at: Date } | undefined;

interface About {
  /** Package URL or digest of what the document is about. */
  readonly product: string;
  readonly id: string;
  readonly author: string;
  /** RFC 3339. */
  readonly at: string;
  readonly source: Source;
}

function statementOf(match: Match, triage: Triage, product: string) {
  const judgement =
    triage[match.id] ?? match.aliases.map((alias) => triage[alias]).find((one) => one !== undefined);
  const common = {
    vulnerability: { name: match.id, aliases: [...match.aliases], description: match.summary },
    products: [{ "@id": product, subcomponents: [{ "@id": match.purl }] }],
  };
  switch (judgement?.status) {
    case undefined:
      return { ...common, status: "under_investigation" };
    case "not_affected":
      return {
        ...common,
        status: judgement.status,
        justification: judgement.justification,
        impact_statement: judgement.statement,
      };
    case "affected":
      return { ...common, status: judgement.status, action_statement: judgement.action };
    case "fixed":
      // The advisory still speaks of the part that is in the release: it cannot have ended.
      return { ...common, status: "under_investigation" };
  }
}

function toolingOf(source: Source): string {
  if (source === undefined)
    return "no snapshot of advisories was given: this document says nothing of what was published since its judgements";
  return `advisories of ${source.at.toISOString()}, sha256:${source.digest}`;
}

/** The document: a statement for every match, and one for every advisory that earlier releases had and this one has not. */
export function openVex(matches: readonly Match[], triage: Triage, about: About): Record<string, unknown> {
  const ended = Object.entries(triage).flatMap(([id, judgement]) =>
    judgement.status === "fixed" && matches.every((match) => match.id !== id && !match.aliases.includes(id))
      ? [{ vulnerability: { name: id }, products: [{ "@id": about.product }], status: "fixed" }]
      : [],
  );
  return {
    "@context": OPEN_VEX,
    "@id": about.id,
    author: about.author,
    timestamp: about.at,
    version: 1,
    tooling: toolingOf(about.source),
    statements: [...matches.map((match) => statementOf(match, triage, about.product)), ...ended],
  };
}
