/** What an installation left: its values and its authority, read back from a cluster's objects or from manifests. */
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { parseValuesFile } from "./values/file.ts";
import { ValuesError, isTree, keepKnown, mergeTrees, type Tree } from "./values/values.ts";

const CONFIG = "linkerd-config";
const ISSUER = "linkerd-identity-issuer";
const TRUST_ROOTS = "linkerd-identity-trust-roots";
const Texts = z.record(z.string(), z.string());

const Found = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  type: z.string().optional(),
  data: Texts.nullish(),
  stringData: Texts.nullish(),
});
type Found = z.infer<typeof Found>;

/** The values to go on with, and what of the old ones nobody reads any more. */
export interface Installed {
  readonly values: Tree;
  readonly dropped: readonly string[];
}

/** Objects that hold an installation's values. */
export const KEPT = [
  { kind: "ConfigMap", name: CONFIG },
  { kind: "ConfigMap", name: TRUST_ROOTS },
  { kind: "Secret", name: ISSUER },
] as const;

/** Reads them; objects of other names are passed over. */
export function readInstalled(objects: readonly unknown[]): Installed {
  const found = objects.flatMap((object): readonly Found[] => {
    const parsed = Found.safeParse(object);
    return parsed.success ? [parsed.data] : [];
  });
  const of = (kind: string, name: string) =>
    found.find((object) => object.kind === kind && object.metadata.name === name);
  const written = of("ConfigMap", CONFIG)?.data?.["values"];
  if (written === undefined) throw new ValuesError([`there is no ConfigMap ${CONFIG} with values`]);
  const { known, dropped } = keepKnown(parseValuesFile(written, `ConfigMap ${CONFIG}`));
  // It was written out for readers; the version is the new program's.
  const values = mergeTrees(known, { linkerdVersion: null });
  const trust = authority(of("ConfigMap", TRUST_ROOTS), of("Secret", ISSUER));
  const { identity } = values;
  const anchors =
    isTree(identity) && identity["externalCA"] === true ? { identityTrustAnchorsPEM: null } : {};
  return { values: mergeTrees(mergeTrees(values, trust), anchors), dropped };
}

/** The anchors and the issuer in force now, which may be younger than the values: they are rotated at run time. */
function authority(roots: Found | undefined, issuer: Found | undefined): Tree {
  const anchors = roots?.data?.["ca-bundle.crt"];
  const trust: Tree = anchors === undefined ? {} : { identityTrustAnchorsPEM: anchors };
  const text = (key: string): string | undefined => {
    const encoded = issuer?.data?.[key];
    return (
      issuer?.stringData?.[key] ??
      (encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString("utf8"))
    );
  };
  const [crtPEM, keyPEM] = [text("crt.pem"), text("key.pem")];
  if (crtPEM === undefined || keyPEM === undefined) return trust;
  return { ...trust, identity: { issuer: { tls: { crtPEM, keyPEM } } } };
}

/** The objects of manifests in YAML or JSON, those in Lists among them. */
export function objectsOf(manifests: string): readonly unknown[] {
  return parseAllDocuments(manifests, { version: "1.1", schema: "core" }).flatMap((document) => {
    const [problem] = document.errors;
    if (problem !== undefined) throw new ValuesError([`the manifests are not YAML: ${problem.message}`]);
    const object: unknown = document.toJS();
    const list = z.looseObject({ kind: z.literal("List"), items: z.array(z.unknown()) }).safeParse(object);
    return list.success ? list.data.items : [object];
  });
}
