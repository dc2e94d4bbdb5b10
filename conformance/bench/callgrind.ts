/** Files of valgrind's callgrind. */

/** The instructions of a whole run. Throws where the program was killed before it could write them. */
export function summary(text: string): number {
  const total = /^(?:summary|totals): (\d+)/m.exec(text)?.[1];
  if (total === undefined) throw new Error("callgrind wrote no total: the proxy was killed before it ended");
  return Number(total);
}
