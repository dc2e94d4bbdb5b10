/** The form of a control in the catalogue. Pure. */

/** The frameworks that a report speaks of, by the names that `--framework` takes. */
export const FRAMEWORKS = {
  "nist-800-53": "NIST SP 800-53 rev. 5",
  "pci-dss": "PCI DSS 4.0.1",
  "cnsa-2": "CNSA 2.0",
  ssdf: "NIST SSDF 1.1 (SP 800-218)",
  "eu-cra": "EU Cyber Resilience Act (Regulation 2024/2847)",
} as const;
export type Framework = keyof typeof FRAMEWORKS;

export function isFramework(name: string): name is Framework {
  return Object.hasOwn(FRAMEWORKS, name);
}

/** One control, and the checks that a mesh can answer for it with. */
export interface Control {
  readonly framework: Framework;
  /** As the standard names it. */
  readonly id: string;
  /** What it is about, in our words. */
  readonly topic: string;
  /** Names of checks; all of them must be satisfied. */
  readonly checks: readonly string[];
  /** What the standard asks for that no evidence of a mesh can show. */
  readonly beyond: string;
}
