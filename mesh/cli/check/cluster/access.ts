/** What the user may do, as the API server says. */
import { z } from "zod";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { RESOURCES, type ResourceType } from "@hauberk/mesh/source/kube/resource.ts";

/** What an installation creates or reads, with the words of Linkerd's checks. */
export interface Needed {
  readonly description: string;
  readonly hint: string;
  readonly asks: readonly Question[];
}

interface Question {
  readonly verb: "create" | "get" | "list";
  readonly type: ResourceType;
  readonly namespace?: string;
  readonly name?: string;
}

function create(type: ResourceType, namespace?: string): Question {
  return { verb: "create", type, ...(namespace === undefined ? {} : { namespace }) };
}

export function needed(namespace: string): readonly Needed[] {
  const inNamespace = (kind: string, type: ResourceType): Needed => ({
    description: `can create ${kind}`,
    hint: "pre-k8s",
    asks: [create(type, namespace)],
  });
  return [
    {
      description: "can create non-namespaced resources",
      hint: "pre-k8s-cluster-k8s",
      asks: [
        create(RESOURCES.namespaces),
        create(RESOURCES.clusterRoles),
        create(RESOURCES.clusterRoleBindings),
        create(RESOURCES.customResourceDefinitions),
        create(RESOURCES.mutatingWebhooks),
        create(RESOURCES.validatingWebhooks),
      ],
    },
    inNamespace("ServiceAccounts", RESOURCES.serviceAccounts),
    inNamespace("Services", RESOURCES.services),
    inNamespace("Deployments", RESOURCES.deployments),
    inNamespace("CronJobs", RESOURCES.cronJobs),
    inNamespace("ConfigMaps", RESOURCES.configMaps),
    inNamespace("Secrets", RESOURCES.secrets),
    {
      description: "can read Secrets",
      hint: "pre-k8s",
      asks: [{ verb: "get", type: RESOURCES.secrets, namespace }],
    },
    {
      description: "can read extension-apiserver-authentication configmap",
      hint: "pre-k8s",
      asks: [
        {
          verb: "get",
          type: RESOURCES.configMaps,
          namespace: "kube-system",
          name: "extension-apiserver-authentication",
        },
      ],
    },
  ];
}

/** How a question is written in the answers. */
export function questionKey({ verb, type, namespace }: Question): string {
  const resource = type.group === "" ? type.plural : `${type.plural}.${type.group}`;
  return namespace === undefined ? `${verb} ${resource}` : `${verb} ${resource} in ${namespace}`;
}

const Review = z.looseObject({ status: z.looseObject({ allowed: z.boolean().default(false) }) });

/** Asks every question of an installation. */
export async function learnAccess(
  client: KubeClient,
  namespace: string,
): Promise<ReadonlyMap<string, boolean>> {
  const questions = needed(namespace).flatMap(({ asks }) => asks);
  const answers = await Promise.all(
    questions.map(async (question) => {
      const { verb, type, name } = question;
      const resourceAttributes = {
        verb,
        group: type.group,
        version: type.version,
        resource: type.plural,
        ...(question.namespace === undefined ? {} : { namespace: question.namespace }),
        ...(name === undefined ? {} : { name }),
      };
      const review = await client.create(
        { type: RESOURCES.selfSubjectAccessReviews },
        { kind: "SelfSubjectAccessReview", spec: { resourceAttributes } },
      );
      return [questionKey(question), Review.parse(review).status.allowed] as const;
    }),
  );
  return new Map(answers);
}
