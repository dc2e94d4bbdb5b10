/**
 * Parts of objects that are the same in many: labels, ports and probes of a deployment's pods, names of nodes. A hundred
 * thousand pods differ in little more than their name and address; what they have in common is kept once.
 */
import type { Meta } from "../../model/meta.ts";
import type { Tagged } from "../../model/objects.ts";
import type { Endpoint, EndpointPort } from "../../model/service.ts";
import type { ContainerPort, HttpProbe } from "../../model/workload.ts";

/** Parts of a sort remembered in each of two generations: those that nobody used for a generation are forgotten. */
const PARTS_MAX = 20_000;

/** Gives the same value for equal values. What it forgot is kept twice, which costs memory and nothing else. */
export class Parts<T> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();
  readonly #partsMax: number;

  constructor(partsMax = PARTS_MAX) {
    this.#partsMax = partsMax;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  share(value: T): T {
    const key = typeof value === "string" ? value : JSON.stringify(value);
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const kept = this.#old.get(key) ?? value;
    if (this.#young.size >= this.#partsMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, kept);
    return kept;
  }
}

/** Shares the parts of pods and slices, of which there are many. */
export class Sharer {
  readonly #words = new Parts<string>();
  readonly #lists = new Parts<readonly string[]>();
  readonly #labels = new Parts<Meta["labels"]>();
  readonly #owners = new Parts<NonNullable<Meta["owner"]>>();
  readonly #ports = new Parts<readonly ContainerPort[]>();
  readonly #probes = new Parts<readonly HttpProbe[]>();
  readonly #endpointPorts = new Parts<readonly EndpointPort[]>();

  /** The same object, with shared parts. */
  share(tagged: Tagged): Tagged {
    if (tagged.kind === "Pod") {
      const { object } = tagged;
      return {
        kind: "Pod",
        object: {
          ...object,
          meta: this.#meta(object.meta),
          serviceAccount: this.#words.share(object.serviceAccount),
          nodeName: this.#word(object.nodeName),
          // An array that was filled bit by bit has room for sixteen more; a copy has none.
          ips: object.ips.slice(),
          hostIps: this.#lists.share(object.hostIps),
          ports: this.#ports.share(object.ports),
          probes: this.#probes.share(object.probes),
        },
      };
    }
    if (tagged.kind === "EndpointSlice") {
      const { object } = tagged;
      return {
        kind: "EndpointSlice",
        object: {
          ...object,
          meta: this.#meta(object.meta),
          ports: this.#endpointPorts.share(object.ports),
          endpoints: object.endpoints.map((endpoint) => this.#endpoint(endpoint)),
        },
      };
    }
    return tagged;
  }

  #meta(meta: Meta): Meta {
    return {
      ...meta,
      namespace: this.#words.share(meta.namespace),
      labels: this.#labels.share(meta.labels),
      annotations: this.#labels.share(meta.annotations),
      owner: meta.owner && this.#owners.share(meta.owner),
    };
  }

  #endpoint(endpoint: Endpoint): Endpoint {
    const { target } = endpoint;
    return {
      ...endpoint,
      nodeName: this.#word(endpoint.nodeName),
      zone: this.#word(endpoint.zone),
      forZones: this.#lists.share(endpoint.forZones),
      target: target && { ...target, namespace: this.#words.share(target.namespace) },
    };
  }

  #word(word: string | undefined): string | undefined {
    return word === undefined ? undefined : this.#words.share(word);
  }
}
