/** How far a word may be from the one that was meant, as a share of its length. */
const DISTANCE_SHARE = 0.34;

/**
 * The path that was probably meant. A path with the same last part elsewhere is nearer than one that is merely spelt
 * alike: `shutdownGracePeriod` is meant to be `proxy.shutdownGracePeriod`.
 */
export function nearest(path: string, paths: readonly string[]): string | undefined {
  const last = lastOf(path);
  const ranked = paths
    .map((candidate) => ({
      candidate,
      distance: Math.min(
        distance(path, candidate),
        distance(last, lastOf(candidate)) + (candidate.startsWith(parentOf(path)) ? 0.5 : 1),
      ),
    }))
    .toSorted((a, b) => a.distance - b.distance);
  const [first] = ranked;
  return first !== undefined && first.distance <= Math.max(2, last.length * DISTANCE_SHARE)
    ? first.candidate
    : undefined;
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf(".") + 1);
}

/** Levenshtein's, without regard to case: insertions, deletions and substitutions. */
function distance(one: string, other: string): number {
  const from = one.toLowerCase();
  const to = other.toLowerCase();
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let at = 1; at <= from.length; at += 1) {
    const next = [at];
    for (let column = 1; column <= to.length; column += 1) {
      const substitute = (row[column - 1] ?? 0) + (from[at - 1] === to[column - 1] ? 0 : 1);
      next.push(Math.min((row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1, substitute));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
