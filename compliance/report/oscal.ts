/**
 * A report as OSCAL 1.1.3 assessment results. Identifiers are derived from content, so that the same report gives the same
 * document; tests hold it against the official schema, and a suite gives it to compliance-trestle. Pure.
 */
import { digest } from "@hauberk/crypto/digest.ts";
import type { Status } from "../checks/check.ts";
import { FRAMEWORKS, type Framework } from "../catalogue/control.ts";
import type { Report, Statement } from "./report.ts";

const NAMESPACE = "https://hauberk.io/ns/oscal";

/** An identifier of version 4's form; OSCAL takes versions 4 and 5. */
function uuidOf(report: Report, ...words: readonly string[]): string {
  const bytes = Buffer.from(JSON.stringify([report.evidence, report.at, ...words]));
  const hex = digest(new Uint8Array(bytes)).slice("sha256:".length);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const prop = (name: string, value: string) => ({ name, ns: NAMESPACE, value });

/** Tokens of OSCAL begin with a letter and have no blanks. */
const token = (text: string) => {
  const plain = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return /^[a-z]/.test(plain) ? plain : `c-${plain}`;
};

const controlId = ({ framework, control }: Statement) =>
  framework === "nist-800-53" ? token(control) : `${token(framework)}_${token(control)}`;

/** What OSCAL calls the state of an objective; a reason says what it has no word for. */
function stateOf(status: Status) {
  switch (status) {
    case "satisfied":
      return { state: "satisfied", reason: "pass" };
    case "not-satisfied":
      return { state: "not-satisfied", reason: "fail" };
    case "not-assessable":
      return { state: "not-satisfied", reason: "other", remarks: "Not assessable: the evidence is absent." };
  }
}

function observationOf(report: Report, check: Report["checks"][number]) {
  const { id, title, status, summary, findings, evidence, remedy } = check;
  return {
    uuid: uuidOf(report, "observation", id),
    title,
    description: [summary, ...findings].join("\n"),
    props: [prop("check", id), prop("status", status)],
    methods: ["TEST"],
    types: ["control-objective"],
    ...(evidence.length === 0
      ? {}
      : {
          "relevant-evidence": evidence.map(({ query, object, at, digest: of }) => ({
            description: `${query} of ${object}`,
            props: [prop("digest", of), prop("at", at)],
          })),
        }),
    collected: report.at,
    ...(remedy === "" ? {} : { remarks: `What would change it: ${remedy}` }),
  };
}

function findingOf(report: Report, statement: Statement) {
  const { framework, control, topic, status, checks, beyond } = statement;
  return {
    uuid: uuidOf(report, "finding", framework, control),
    title: `${FRAMEWORKS[framework]} ${control}`,
    description: topic,
    props: [prop("status", status), prop("framework", framework)],
    target: {
      type: "objective-id",
      "target-id": `${controlId(statement)}_obj`,
      title: topic,
      status: stateOf(status),
    },
    "related-observations": checks.map((id) => ({ "observation-uuid": uuidOf(report, "observation", id) })),
    remarks: `No evidence of a mesh shows: ${beyond}`,
  };
}

function selectionOf(framework: Framework, statements: readonly Statement[]) {
  return {
    description: FRAMEWORKS[framework],
    "include-controls": statements.map((statement) => ({ "control-id": controlId(statement) })),
  };
}

/** The document. */
export function oscalOf(report: Report): string {
  const { at, system, program, evidence } = report;
  const frameworks = [...Map.groupBy(report.statements, ({ framework }) => framework)];
  const planId = uuidOf(report, "plan");
  const document = {
    "assessment-results": {
      uuid: uuidOf(report, "results"),
      metadata: {
        title: `Compliance of the mesh ${system.name}`,
        "last-modified": at,
        version: at,
        "oscal-version": "1.1.3",
        props: [prop("program", program), prop("evidence", evidence)],
      },
      "import-ap": { href: `#${planId}` },
      results: [
        {
          uuid: uuidOf(report, "result"),
          title: "What the evidence shows",
          description: `Evidence that ${program} gathered from the ${system.kind} ${system.name}.`,
          start: at,
          end: at,
          "reviewed-controls": {
            "control-selections": frameworks.map(([framework, statements]) =>
              selectionOf(framework, statements),
            ),
          },
          observations: report.checks.map((check) => observationOf(report, check)),
          findings: report.statements.map((statement) => findingOf(report, statement)),
        },
      ],
      "back-matter": {
        resources: [
          {
            uuid: planId,
            title: "Assessment plan",
            description: "The catalogue of controls and checks of the program that is named in the metadata.",
          },
        ],
      },
    },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
