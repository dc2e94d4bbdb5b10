/** NIST SP 800-53 rev. 5: controls that a mesh bears on. Wording is ours. Pure data. */
import type { Control } from "./control.ts";

const control = (id: string, topic: string, checks: readonly string[], beyond: string): Control => ({
  framework: "nist-800-53",
  id,
  topic,
  checks,
  beyond,
});

export const NIST: readonly Control[] = [
  control(
    "SC-8",
    "Information is protected while it is transmitted between workloads.",
    ["traffic-encrypted", "tls-version", "workloads-meshed"],
    "Traffic that passes neither end of the mesh, and links below it.",
  ),
  control(
    "SC-12",
    "Cryptographic keys are made, replaced and retired under control.",
    ["authorities-current", "certificates-current", "trust-agreed"],
    "Custody of the root's key, and keys of applications.",
  ),
  control(
    "SC-13",
    "Cryptography is of the approved kinds, from validated modules.",
    ["approved-mode", "keys-strong", "tls-version"],
    "Cryptography inside the applications; whether a module's certificate covers this operating environment.",
  ),
  control(
    "SC-17",
    "Certificates come from an approved authority and are valid.",
    ["authorities-current", "certificates-current", "keys-strong"],
    "The certificate policy of the organisation.",
  ),
  control(
    "SC-23",
    "Sessions are authentic at both ends.",
    ["traffic-authenticated", "certificates-current"],
    "Sessions of the applications' own users.",
  ),
  control(
    "AC-3",
    "Access is enforced as authorised.",
    ["identity-required", "policy-explicit"],
    "Whether the authorizations are the ones that the organisation wants.",
  ),
  control(
    "AC-4",
    "Flows of information between workloads are controlled.",
    ["identity-required", "workloads-meshed", "traffic-authenticated"],
    "Flows outside of the mesh.",
  ),
  control(
    "AU-2",
    "The events that matter are known and logged.",
    ["decisions-counted", "record-intact"],
    "The organisation's choice of events.",
  ),
  control(
    "AU-10",
    "What was done cannot be denied by whoever did it.",
    ["record-intact"],
    "Acts outside of the mesh's own record.",
  ),
  control(
    "AU-12",
    "Records are generated where the events happen.",
    ["decisions-counted", "workloads-meshed"],
    "Retention and review of the records.",
  ),
  control(
    "CM-14",
    "Only signed components are installed.",
    ["images-signed", "running-verified"],
    "Components that are not of the mesh.",
  ),
  control(
    "SI-7",
    "Software is checked for integrity.",
    ["images-signed", "provenance-verified", "running-verified"],
    "Integrity of the nodes and the applications.",
  ),
  control(
    "SR-3",
    "The supply chain is controlled.",
    ["provenance-verified", "materials-listed", "conformance-passed"],
    "Suppliers other than the mesh's.",
  ),
  control(
    "SR-4",
    "The origin of components is recorded.",
    ["provenance-verified", "materials-listed"],
    "Components that are not of the mesh.",
  ),
  control(
    "SR-11",
    "Components are genuine.",
    ["images-signed", "running-verified"],
    "Hardware, and components that are not of the mesh.",
  ),
  control(
    "RA-5",
    "Vulnerabilities are looked for and judged.",
    ["vulnerabilities-judged", "materials-listed"],
    "Vulnerabilities of the nodes and the applications.",
  ),
];
