/** Admission policies for the images of a release, as files for each evaluator. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { clusterImagePolicy, kyvernoPolicy, validatingAdmissionPolicy } from "@hauberk/policies/admission.ts";
import { defaultDeny, requireMutualTls } from "@hauberk/policies/baseline.ts";
import { printPolicies } from "@hauberk/policies/print.ts";
import { publicPem, readTrust } from "./attest/keys.ts";

/** Where the control plane is unless an operator says otherwise. */
const CONTROL_PLANE = "linkerd";
/** The namespace that baselines name; to be replaced by the operator's own. */
const EXAMPLE = "my-app";

/** Writes them into `out`. @throws if the trust file names no gate. */
export async function writePolicies(
  repository: string,
  { trustFile, out }: { readonly trustFile: string; readonly out: string },
): Promise<void> {
  const { builder, gate } = readTrust(await readFile(trustFile, "utf8"));
  if (gate === undefined)
    throw new Error("trust: it names no gate, and the policies demand what the gate says");
  const trust = { repository, builder: publicPem(builder.classical), gate: publicPem(gate.classical) };
  const files = {
    "validating-admission-policy.yaml": validatingAdmissionPolicy(CONTROL_PLANE),
    "policy-controller.yaml": clusterImagePolicy(trust),
    "kyverno.yaml": kyvernoPolicy(trust),
    "baseline-default-deny.yaml": defaultDeny(EXAMPLE),
    "baseline-mutual-tls.yaml": requireMutualTls(EXAMPLE),
  };
  await mkdir(out, { recursive: true });
  for (const [name, objects] of Object.entries(files))
    await writeFile(join(out, name), printPolicies(objects));
}
