/**
 * Policies for a cluster's own admission that let in only images of a verified release, for three evaluators. They name
 * keys and digests exactly: nothing in them matches "anything of ours". Pure.
 */

/** Whose signatures count, and where the images lie. */
export interface ImageTrust {
  /** `HOST/PATH` of the images, without a trailing slash. */
  readonly repository: string;
  /** The builder's ECDSA P-256 key, PEM. The evaluators know nothing of ML-DSA: `hauberk verify` does. */
  readonly builder: string;
  /** The gate's, likewise. */
  readonly gate: string;
}

/** Predicate types by who must have said them. */
const STATEMENTS = {
  builder: ["https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom", "https://openvex.dev/ns"],
  gate: ["https://slsa.dev/verification_summary/v1", "https://in-toto.io/attestation/test-result/v0.1"],
} as const;

/** Containers that the mesh puts into a pod. */
const OURS = ["linkerd-proxy", "linkerd-init", "linkerd-network-validator", "linkerd-debug"];

const METADATA = { labels: { "app.kubernetes.io/part-of": "hauberk" } };
const NAME = "hauberk-approved-proxies";

/**
 * Kubernetes' own evaluator. It cannot verify signatures; it holds the digest of every container of the mesh against the list
 * that a verified upgrade wrote, and denies where there is none.
 */
export function validatingAdmissionPolicy(controlPlaneNamespace: string): readonly unknown[] {
  const names = `[${OURS.map((name) => `"${name}"`).join(", ")}]`;
  const approved = `!(c.name in ${names}) || (c.image.contains("@sha256:") && params.data["digests"].contains(c.image.substring(c.image.lastIndexOf("@") + 1)))`;
  const list = (field: string) => `(!has(object.spec.${field}) || object.spec.${field}.all(c, ${approved}))`;
  const fields = ["containers", "initContainers", "ephemeralContainers"];
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: NAME, ...METADATA },
      spec: {
        failurePolicy: "Fail",
        paramKind: { apiVersion: "v1", kind: "ConfigMap" },
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [""],
              apiVersions: ["v1"],
              operations: ["CREATE", "UPDATE"],
              resources: ["pods", "pods/ephemeralcontainers"],
            },
          ],
        },
        validations: fields.map((field) => ({
          expression: list(field),
          message: `spec.${field}: a container of the mesh is not an image that the verified release approves`,
        })),
      },
    },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name: NAME, ...METADATA },
      spec: {
        policyName: NAME,
        validationActions: ["Deny"],
        paramRef: { name: NAME, namespace: controlPlaneNamespace, parameterNotFoundAction: "Deny" },
      },
    },
  ];
}

function authority(name: "builder" | "gate", key: string) {
  const attestations = STATEMENTS[name].map((predicateType, index) => ({
    name: `${name}-${index}`,
    predicateType,
  }));
  return { name, key: { data: key }, attestations };
}

/** sigstore's policy-controller: every statement by its party's key. */
export function clusterImagePolicy({ repository, builder, gate }: ImageTrust): readonly unknown[] {
  return [
    {
      apiVersion: "policy.sigstore.dev/v1beta1",
      kind: "ClusterImagePolicy",
      metadata: { name: "hauberk-images", ...METADATA },
      spec: {
        images: [{ glob: `${repository}/*` }],
        authorities: [authority("builder", builder), authority("gate", gate)],
        // Authorities are alternatives; both are demanded here.
        policy: {
          type: "cue",
          data: "authorityMatches: {\n  builder: attestations: [string]: _\n  gate: attestations: [string]: _\n}\n",
        },
      },
    },
  ];
}

function attestor(key: string) {
  return [{ entries: [{ keys: { publicKeys: key, rekor: { ignoreTlog: true } } }] }];
}

/** Kyverno's ClusterPolicy: the same, and that images are named by digest. */
export function kyvernoPolicy({ repository, builder, gate }: ImageTrust): readonly unknown[] {
  const attestations = [
    ...STATEMENTS.builder.map((type) => ({ type, attestors: attestor(builder) })),
    ...STATEMENTS.gate.map((type) => ({ type, attestors: attestor(gate) })),
  ];
  return [
    {
      apiVersion: "kyverno.io/v1",
      kind: "ClusterPolicy",
      metadata: { name: "hauberk-images", ...METADATA },
      spec: {
        validationFailureAction: "Enforce",
        webhookTimeoutSeconds: 30,
        failurePolicy: "Fail",
        rules: [
          {
            name: "statements-of-builder-and-gate",
            match: { any: [{ resources: { kinds: ["Pod"] } }] },
            verifyImages: [
              {
                type: "SigstoreBundle",
                imageReferences: [`${repository}/*`],
                mutateDigest: true,
                required: true,
                verifyDigest: true,
                attestations,
              },
            ],
          },
        ],
      },
    },
  ];
}
