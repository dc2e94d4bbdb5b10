/** What a proxy made of one raw request. Pure. */
import type { Reading } from "./judge.ts";
import type { Kind } from "./corpus.ts";

/** In the order of gravity. */
export type Outcome =
  /** Bytes reached the backend that an RFC 9112 reader refuses. */
  | "leaked"
  /** The backend found more requests than the client sent. */
  | "split"
  /** The backend saw at least one whole request, well-formed, and no more than were sent. */
  | "forwarded"
  /** The backend saw no whole request: nothing, or the beginning of one whose body then turned out to be broken. */
  | "refused";

/** Judges by the sent bytes and by each connection's bytes at the backend, both as h11 reads them. */
export function outcomeOf(sent: Reading, received: readonly Reading[]): Outcome {
  if (received.some(({ error }) => error !== null)) return "leaked";
  const arrived = received.reduce((sum, { complete }) => sum + complete, 0);
  // One request that h11 refuses may be made well-formed and passed on; two may not come of it.
  if (arrived > Math.max(sent.complete, 1)) return "split";
  return arrived === 0 ? "refused" : "forwarded";
}

/** What the corpus itself asks for. */
export function usual(kind: Kind): Outcome {
  return kind === "valid" ? "forwarded" : "refused";
}
