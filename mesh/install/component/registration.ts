/**
 * Webhooks and admission policies, from the registrations of those who serve them. There is no certificate in them: the
 * control plane fills `caBundle` in when it runs.
 */
import { z } from "zod";
import { POLICY_VALIDATOR, PROFILE_VALIDATOR, type WebhookRegistration } from "../../policy/registration.ts";
import {
  INJECTOR_CONFIGURATION,
  injectorConfiguration,
  meshedPodsPolicy,
} from "../../proxy-injector/registration.ts";
import type { Template } from "../chart.ts";
import { NAMESPACE, equal, value, type Node, type TemplateMap } from "../template/node.ts";
import { ofCluster } from "./meta.ts";

/** Data of other rooms as a tree: what they hold is already without values. */
function nodeOf(data: unknown): Node {
  if (typeof data === "string" || typeof data === "number" || typeof data === "boolean") return data;
  if (Array.isArray(data)) return data.map(nodeOf);
  return mapOf(data);
}

const Fields = z.record(z.string(), z.unknown());

function mapOf(data: unknown): TemplateMap {
  return Object.fromEntries(Object.entries(Fields.parse(data)).map(([key, child]) => [key, nodeOf(child)]));
}

const Configuration = z.looseObject({ webhooks: z.array(Fields).length(1) });
const Spec = z.looseObject({ apiVersion: z.string(), kind: z.string(), spec: Fields });

/** What the control plane's values decide of the injector's objects is put in here. */
const REGISTRATION = { namespace: "", labels: {} };

function injectorWebhook(): Template {
  const { webhooks } = Configuration.parse(
    injectorConfiguration({ ...REGISTRATION, unsupportedPods: "refuse" }),
  );
  const { clientConfig, ...webhook } = mapOf(webhooks[0]);
  return {
    file: "proxy-injector-mutatingwebhookconfiguration",
    kind: "MutatingWebhookConfiguration",
    object: {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: ofCluster(INJECTOR_CONFIGURATION, "proxy-injector"),
      webhooks: [
        {
          ...webhook,
          clientConfig: inside(clientConfig),
          namespaceSelector: value("proxyInjector.namespaceSelector"),
          objectSelector: value("proxyInjector.objectSelector"),
          failurePolicy: value("webhookFailurePolicy"),
          timeoutSeconds: value("proxyInjector.timeoutSeconds"),
        },
      ],
    },
  };
}

/** The same service, in the namespace that the control plane is installed in. */
function inside(clientConfig: Node | undefined): TemplateMap {
  const { service } = z.looseObject({ service: Fields }).parse(clientConfig);
  return { service: { ...mapOf(service), namespace: NAMESPACE } };
}

/** Whoever asks for the mesh is in it, whether or not the injector is there. */
function meshedPods(): readonly Template[] {
  return (["refuse", "skip"] as const).flatMap((unsupportedPods) => {
    const [policy, binding] = meshedPodsPolicy({ ...REGISTRATION, unsupportedPods });
    const { spec, apiVersion, kind } = Spec.parse(policy);
    const bound = Spec.parse(binding);
    const isChosen = equal("proxyInjector.unsupportedPods", unsupportedPods);
    const metadata = ofCluster("linkerd-meshed-pods", "proxy-injector");
    const chosen: Template = {
      file: `meshed-pods-${unsupportedPods}-validatingadmissionpolicy`,
      kind: "ValidatingAdmissionPolicy",
      condition: isChosen,
      object: { apiVersion, kind, metadata, spec: mapOf(spec) },
    };
    if (unsupportedPods === "skip") return [chosen];
    return [
      chosen,
      {
        file: "meshed-pods-validatingadmissionpolicybinding",
        kind: "ValidatingAdmissionPolicyBinding",
        object: { apiVersion: bound.apiVersion, kind: bound.kind, metadata, spec: mapOf(bound.spec) },
      },
    ];
  });
}

function validator(of: WebhookRegistration, values: string): Template {
  return {
    file: `${of.service}-validatingwebhookconfiguration`,
    kind: "ValidatingWebhookConfiguration",
    object: {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: ofCluster(of.configuration, "destination"),
      webhooks: [
        {
          name: of.webhook,
          namespaceSelector: value(`${values}.namespaceSelector`),
          clientConfig: { service: { name: of.service, namespace: NAMESPACE, path: of.path } },
          failurePolicy: value("webhookFailurePolicy"),
          matchPolicy: of.matchPolicy,
          sideEffects: of.sideEffects,
          timeoutSeconds: of.timeoutSeconds,
          admissionReviewVersions: ["v1"],
          rules: of.rules.map(mapOf),
        },
      ],
    },
  };
}

export const REGISTRATIONS: readonly Template[] = [
  injectorWebhook(),
  ...meshedPods(),
  validator(POLICY_VALIDATOR, "policyValidator"),
  validator(PROFILE_VALIDATOR, "profileValidator"),
];
