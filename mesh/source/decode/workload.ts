/** Kinds that only need to be there: Namespace, Node, ServiceAccount. */
import { z } from "zod";
import { ZONE_LABEL } from "../../model/workload.ts";
import { decoder } from "./kind.ts";

const Anything = z.looseObject({});

export const namespace = decoder({ group: "", kind: "Namespace", versions: ["v1"] }, Anything, (meta) => ({
  kind: "Namespace",
  object: { meta },
}));

export const serviceAccount = decoder(
  { group: "", kind: "ServiceAccount", versions: ["v1"] },
  Anything,
  (meta) => ({ kind: "ServiceAccount", object: { meta } }),
);

export const node = decoder({ group: "", kind: "Node", versions: ["v1"] }, Anything, (meta) => ({
  kind: "Node",
  object: { meta, zone: meta.labels[ZONE_LABEL] },
}));
