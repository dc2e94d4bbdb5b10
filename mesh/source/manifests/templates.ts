/** One pod for each workload that only a controller would make pods of, so that policy can be asked about it. Pure. */
import { z } from "zod";
import type { ManifestDocument, ManifestObject } from "./document.ts";

const Strings = z.record(z.string(), z.string()).nullish();
const Template = z.looseObject({
  metadata: z.looseObject({ labels: Strings, annotations: Strings }).nullish(),
  spec: z.unknown(),
});
const OfController = z.looseObject({ spec: z.looseObject({ template: Template }) });
const OfCronJob = z.looseObject({
  spec: z.looseObject({ jobTemplate: z.looseObject({ spec: z.looseObject({ template: Template }) }) }),
});

const CONTROLLERS: ReadonlySet<string> = new Set([
  "apps/v1/DaemonSet",
  "apps/v1/Deployment",
  "apps/v1/ReplicaSet",
  "apps/v1/StatefulSet",
  "batch/v1/Job",
]);

function templateOf(object: ManifestObject): z.infer<typeof Template> | undefined {
  const kind = `${object.apiVersion}/${object.kind}`;
  if (kind === "batch/v1/CronJob") {
    const parsed = OfCronJob.safeParse(object.rest);
    return parsed.success ? parsed.data.spec.jobTemplate.spec.template : undefined;
  }
  if (!CONTROLLERS.has(kind)) return undefined;
  const parsed = OfController.safeParse(object.rest);
  return parsed.success ? parsed.data.spec.template : undefined;
}

/** Addresses for pods that have none: of 10.254.0.0/16, which lies in the cluster's networks by default. */
function addressOf(at: number): string {
  return `10.254.${Math.floor(at / 250) % 256}.${(at % 250) + 1}`;
}

/** Of the node that such pods are taken to run on: from there their probes come. */
const NODE_ADDRESS = "10.254.255.254";

function running(ip: string): Readonly<Record<string, unknown>> {
  const conditions = [{ type: "Ready", status: "True" }];
  return { phase: "Running", podIP: ip, podIPs: [{ ip }], hostIP: NODE_ADDRESS, conditions };
}

/**
 * The documents with a pod beside each controller, named after it and owned by it, and with an address for each pod
 * that has none.
 */
export function withPods(documents: readonly ManifestDocument[]): readonly ManifestDocument[] {
  let made = 0;
  return documents.flatMap((document): readonly ManifestDocument[] => {
    const { object } = document;
    if (object.apiVersion === "v1" && object.kind === "Pod" && object.rest["status"] === undefined) {
      const rest = { ...object.rest, status: running(addressOf(made)) };
      made += 1;
      return [{ ...document, object: { ...object, rest } }];
    }
    const template = templateOf(object);
    if (template === undefined) return [document];
    const { metadata } = object;
    const pod: ManifestObject = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...metadata,
        labels: template.metadata?.labels ?? {},
        annotations: template.metadata?.annotations ?? {},
        ownerReferences: [{ kind: object.kind, name: metadata.name, controller: true }],
      },
      rest: { spec: template.spec, status: running(addressOf(made)) },
    };
    made += 1;
    return [document, { ...document, object: pod }];
  });
}
