/** Who is next. */

/** Something that needs what is still being prepared. */
export interface Waiting<N> {
  readonly needs: readonly N[];
}

/** What is known of a preparation. */
export interface Preparing<N> {
  readonly isOver: (need: N) => boolean;
  /** Ends when the preparation has, however it ended: who needs it makes it again, and says why it cannot. */
  readonly over: (need: N) => Promise<void>;
}

/** Takes jobs in their order, but those first whose needs are there; waits only where none is left to do. */
export async function inTurn<N, J extends Waiting<N>>(
  jobs: readonly J[],
  preparing: Preparing<N>,
  run: (job: J) => Promise<void>,
): Promise<void> {
  const left = [...jobs];
  while (left.length > 0) {
    const ready = left.findIndex(({ needs }) => needs.every(preparing.isOver));
    const [job] = left.splice(Math.max(0, ready), 1);
    if (job === undefined) return;
    await Promise.all(job.needs.map(preparing.over));
    await run(job);
  }
}
