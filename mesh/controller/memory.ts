/** Giving back what only the start needed. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Collects all garbage once and returns the pages. The first lists of a large cluster leave several times as much garbage
 * as objects, and V8 keeps the room for it as long as nothing presses.
 */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  // A "last resort" also compacts and gives pages back.
  if (typeof collect === "function") collect({ type: "major", execution: "sync", flavor: "last-resort" });
}
