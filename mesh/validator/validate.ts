/** Whether an object may join the others: its own form by the decoders, the rest by the resolvers' rules. Pure. */
import { findingsOf } from "../policy/findings.ts";
import { error, warning, type Finding } from "../policy/finding.ts";
import type { InboundContext } from "../policy/authz.ts";
import { decode } from "../source/decode/decode.ts";
import { fieldPath, type ManifestObject } from "../source/manifests/document.ts";

/** What is wrong with `object`, or worth a word, beside those of the snapshot. A kind that is not ours has no findings. */
export function validate(object: ManifestObject, context: InboundContext): readonly Finding[] {
  const decoded = decode(object);
  if (decoded === undefined) return [];
  if (!decoded.ok) return decoded.issues.map(({ path, message }) => error(path, message));
  const findings = findingsOf(decoded.tagged, context);
  const told = new Set(findings.map(({ path }) => fieldPath(path)));
  const notes = decoded.notes
    .filter(({ path }) => !told.has(fieldPath(path)))
    .map(({ path, message }) => warning(path, message));
  return [...findings, ...notes];
}

/** One finding as a sentence: the field, then what is the matter with it. */
export function sentence({ path, message }: Finding): string {
  return path.length === 0 ? message : `${fieldPath(path)}: ${message}`;
}
