/** Applies objects to a cluster, and takes back what was applied. */
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { discover, typeOf, type ServedType } from "@hauberk/mesh/source/kube/discovery.ts";
import { KubeObject } from "@hauberk/mesh/source/kube/object.ts";
import { describeRef, RESOURCES, type ObjectRef } from "@hauberk/mesh/source/kube/resource.ts";
import { z } from "zod";

const FIELD_MANAGER = "hauberk-upgrade";
/** How long a new kind may take to be served. */
const SERVED_MS_MAX = 30_000;
const LOOK_AGAIN_MS = 500;

/** An object, and what lay in its place before. */
interface Change {
  readonly ref: ObjectRef;
  readonly before: KubeObject | undefined;
}

/** What was done, newest last; it can be taken back. */
export type Applied = readonly Change[];

/** Something could not be applied; what was applied until then is in `applied`. */
export class ApplyError extends Error {
  override readonly name = "ApplyError";
  readonly applied: Applied;
  constructor(message: string, applied: Applied, options?: ErrorOptions) {
    super(message, options);
    this.applied = applied;
  }
}

/** The type of an object; a kind that was just defined is waited for. */
async function served(
  client: KubeClient,
  known: readonly ServedType[],
  object: KubeObject,
): Promise<ServedType> {
  const deadline = Date.now() + SERVED_MS_MAX;
  let types = known;
  for (;;) {
    const type = typeOf(types, object);
    if (type !== undefined) return type;
    if (Date.now() > deadline)
      throw new Error(`the cluster serves no ${object.kind} of ${object.apiVersion}`);
    await sleep(LOOK_AGAIN_MS);
    types = await discover(client);
  }
}

/** Server-side apply of all objects in order. @throws {@link ApplyError} */
export async function applyAll(client: KubeClient, objects: readonly unknown[]): Promise<Applied> {
  const applied: Change[] = [];
  const known = await discover(client);
  for (const value of objects) {
    const object = KubeObject.parse(value);
    const { name, namespace } = object.metadata;
    try {
      const type = await served(client, known, object);
      const ref = { type, name, ...(type.isNamespaced ? { namespace: namespace ?? "default" } : {}) };
      const before = await client.find(ref);
      await client.apply(ref, object, { fieldManager: FIELD_MANAGER, force: true });
      applied.push({ ref, before });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ApplyError(`${object.kind} ${name}: ${reason}`, applied, { cause });
    }
  }
  return applied;
}

/** An object as it can be written again: without what the server keeps. */
function writable(object: KubeObject, resourceVersion: string | undefined): unknown {
  const { status: _status, ...rest } = object;
  const { managedFields: _fields, uid: _uid, generation: _generation, ...metadata } = object.metadata;
  return { ...rest, metadata: { ...metadata, resourceVersion } };
}

/** Puts back what lay there before, newest change first; what was new goes. */
export async function takeBack(client: KubeClient, applied: Applied): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const { ref, before } of applied.toReversed()) {
    try {
      const now = await client.find(ref);
      if (before === undefined) {
        // Objects of a kind would go with it: a definition that is new stays.
        if (now !== undefined && ref.type.plural !== "customresourcedefinitions") await client.delete(ref);
      } else if (now === undefined) {
        const { name: _name, ...collection } = ref;
        await client.create(collection, writable(before, undefined));
      } else {
        await client.replace(ref, writable(before, now.metadata.resourceVersion));
      }
    } catch (error) {
      failed.push(`${describeRef(ref)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return failed;
}

const Workload = z.object({
  metadata: z.object({ name: z.string(), generation: z.number().default(0) }),
  spec: z.object({ replicas: z.number().default(1) }),
  status: z
    .object({
      observedGeneration: z.number().default(0),
      updatedReplicas: z.number().default(0),
      availableReplicas: z.number().default(0),
      replicas: z.number().default(0),
    })
    .prefault({}),
});

/** Deployments of a namespace that are not rolled out yet. */
async function waiting(client: KubeClient, namespace: string): Promise<readonly string[]> {
  const deployments = await client.list({ type: RESOURCES.deployments, namespace });
  return deployments
    .map((deployment) => Workload.parse(deployment))
    .filter(({ metadata, spec, status }) => {
      const isSeen = status.observedGeneration >= metadata.generation;
      const isNew = status.updatedReplicas === spec.replicas && status.replicas === spec.replicas;
      return !isSeen || !isNew || status.availableReplicas < spec.replicas;
    })
    .map(({ metadata }) => metadata.name);
}

/** Waits until every Deployment of the namespace runs what it was told. @throws naming those that do not in time. */
export async function waitRolledOut(client: KubeClient, namespace: string, deadline: Date): Promise<void> {
  for (;;) {
    const names = await waiting(client, namespace);
    if (names.length === 0) return;
    if (Date.now() > deadline.getTime()) throw new Error(`not rolled out in time: ${names.join(", ")}`);
    await sleep(LOOK_AGAIN_MS);
  }
}
