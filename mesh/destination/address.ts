/**
 * One endpoint of an answer, kept as what it was made of. Its message is ten times as large and needed only while it is
 * sent or compared, so it is made then.
 */
import { equalExtended } from "../api/extend.ts";
import { WeightedAddrSchema, type WeightedAddr } from "../api/gen/destination_pb.ts";
import type { IpAddress } from "../model/address.ts";
import { weightedAddr, type Occupant, type Surroundings } from "./endpoint.ts";
import { inZone } from "./zones.ts";

/** See the head of the file. Immutable. */
export class Address {
  readonly #ip: IpAddress;
  readonly #port: number;
  readonly #occupant: Occupant;
  /** Whether it lies outside of what is meant for the client's zone. */
  readonly #isOther: boolean;
  readonly #surroundings: Surroundings;

  constructor(
    { ip, port, occupant }: { readonly ip: IpAddress; readonly port: number; readonly occupant: Occupant },
    isOther: boolean,
    surroundings: Surroundings,
  ) {
    this.#ip = ip;
    this.#port = port;
    this.#occupant = occupant;
    this.#isOther = isOther;
    this.#surroundings = surroundings;
  }

  /** As a client is told of it. */
  message(): WeightedAddr {
    const place = { ip: this.#ip, port: this.#port, occupant: this.#occupant };
    return inZone(weightedAddr(place, this.#surroundings), this.#isOther);
  }

  /** Whether a client that knows this one need not be told of `other`, which has the same address. */
  isSame(other: Address): boolean {
    const isMadeOfTheSame =
      this.#isOther === other.#isOther &&
      isSameOccupant(this.#occupant, other.#occupant) &&
      areSame(this.#surroundings, other.#surroundings);
    return isMadeOfTheSame || equalExtended(WeightedAddrSchema, this.message(), other.message());
  }
}

function isSameOccupant(one: Occupant, other: Occupant): boolean {
  switch (one.type) {
    case "pod":
      return other.type === "pod" && one.pod === other.pod;
    case "workload":
      return other.type === "workload" && one.workload === other.workload;
    case "unknown":
      return other.type === "unknown";
  }
}

function areSame(one: Surroundings, other: Surroundings): boolean {
  return (
    one.settings === other.settings &&
    one.clientZone === other.clientZone &&
    one.snapshot.Server === other.snapshot.Server &&
    one.snapshot.Namespace === other.snapshot.Namespace &&
    one.snapshot.Node === other.snapshot.Node
  );
}
