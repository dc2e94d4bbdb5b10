/** PCI DSS 4.0.1, CNSA 2.0, SSDF 1.1 and the EU Cyber Resilience Act: what a mesh bears on. Wording is ours. Pure data. */
import type { Control, Framework } from "./control.ts";

type Row = readonly [id: string, topic: string, checks: readonly string[], beyond: string];

const of = (framework: Framework, rows: readonly Row[]): readonly Control[] =>
  rows.map(([id, topic, checks, beyond]) => ({ framework, id, topic, checks, beyond }));

const SCOPE = "Which workloads are in scope of the cardholder data environment.";
const OWN = "The organisation's own software and processes.";

export const OTHERS: readonly Control[] = [
  ...of("pci-dss", [
    [
      "1.3.1",
      "Inbound traffic is restricted to what is needed.",
      ["identity-required", "policy-explicit"],
      SCOPE,
    ],
    [
      "2.2.7",
      "Administrative access is encrypted.",
      ["traffic-encrypted", "tls-version"],
      "Access that does not pass the mesh.",
    ],
    [
      "4.2.1",
      "Strong cryptography protects data in transit over open networks.",
      ["traffic-encrypted", "tls-version", "keys-strong", "egress-protected"],
      SCOPE,
    ],
    [
      "4.2.1.1",
      "An inventory of keys and certificates is kept, and they are valid.",
      ["certificates-current", "authorities-current"],
      "Keys and certificates of applications.",
    ],
    ["6.3.2", "An inventory of software components is kept.", ["materials-listed"], OWN],
    ["6.3.3", "Known vulnerabilities are dealt with.", ["vulnerabilities-judged"], OWN],
    [
      "7.2.5",
      "Accounts of applications have the least access.",
      ["identity-required", "policy-explicit"],
      SCOPE,
    ],
    [
      "8.6.1",
      "Accounts of systems prove who they are.",
      ["traffic-authenticated", "certificates-current"],
      SCOPE,
    ],
    [
      "10.2.1",
      "Audit logs are on for all components.",
      ["decisions-counted", "record-intact"],
      "Content and retention of logs.",
    ],
    ["10.3.4", "Audit logs are guarded against change.", ["record-intact"], "Logs that are not the mesh's."],
    [
      "12.3.3",
      "Cipher suites and protocols in use are documented and watched.",
      ["tls-version", "post-quantum"],
      "The yearly review by people.",
    ],
  ]),
  ...of("cnsa-2", [
    [
      "Key establishment",
      "Keys are established with ML-KEM-1024.",
      ["cnsa-strength"],
      "Transition dates by class of equipment.",
    ],
    [
      "Transition",
      "No connection relies on classical key establishment alone.",
      ["post-quantum"],
      "A hybrid group is a step on the way, not the end of it.",
    ],
    [
      "Software signing",
      "Software is signed with a post-quantum algorithm.",
      ["images-signed"],
      "ML-DSA-87 is what the release's companion signatures use; CNSA 2.0 prefers LMS and XMSS for firmware.",
    ],
    ["Validated modules", "Algorithms come from validated modules.", ["approved-mode"], "NIAP evaluation."],
  ]),
  ...of("ssdf", [
    ["PO.3.3", "Tools keep records of how software was made.", ["provenance-verified"], OWN],
    ["PS.2.1", "Users can verify that a release is whole.", ["images-signed"], OWN],
    [
      "PS.3.2",
      "The origin of all components is kept and shared.",
      ["materials-listed", "provenance-verified"],
      OWN,
    ],
    [
      "PW.4.4",
      "Components of others are watched for vulnerabilities.",
      ["vulnerabilities-judged", "materials-listed"],
      OWN,
    ],
    ["PW.8.2", "Executable code is tested, and the results are kept.", ["conformance-passed"], OWN],
    ["RV.1.1", "Reports of vulnerabilities are looked for.", ["vulnerabilities-judged"], OWN],
  ]),
  ...of("eu-cra", [
    [
      "Annex I Part I (2)(a)",
      "Products come without known exploitable vulnerabilities.",
      ["vulnerabilities-judged"],
      OWN,
    ],
    [
      "Annex I Part I (2)(d)",
      "Access is guarded against the unauthorised, and refusals are reported.",
      ["identity-required", "traffic-authenticated", "decisions-counted"],
      OWN,
    ],
    [
      "Annex I Part I (2)(e)",
      "Data in transit are confidential, by the state of the art.",
      ["traffic-encrypted", "tls-version", "post-quantum"],
      "Data at rest.",
    ],
    [
      "Annex I Part I (2)(f)",
      "Data, programs and settings are guarded against manipulation.",
      ["images-signed", "running-verified", "record-intact"],
      OWN,
    ],
    ["Annex I Part I (2)(l)", "Security events are recorded.", ["decisions-counted", "record-intact"], OWN],
    ["Annex I Part II (1)", "Components are listed in a bill of materials.", ["materials-listed"], OWN],
    ["Annex I Part II (3)", "Security is tested regularly.", ["conformance-passed"], OWN],
    [
      "Annex I Part II (7)",
      "Updates are distributed securely.",
      ["images-signed", "provenance-verified"],
      OWN,
    ],
  ]),
];
