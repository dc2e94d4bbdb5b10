/** A byte stream of newline-separated texts → the texts, a batch for each arrival. */

/** Longest line. An object in etcd is at most 1.5 MiB; a watch adds its envelope. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** Yields the whole lines of each chunk; a last line without a newline is a cut one and is dropped. */
export async function* lineBatches(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly string[], void> {
  const decoder = new TextDecoder();
  let pending: string[] = [];
  let pendingLength = 0;
  for await (const chunk of chunks) {
    const parts = decoder.decode(chunk, { stream: true }).split("\n");
    const last = parts.pop() ?? "";
    const [first, ...whole] = parts;
    if (first !== undefined) {
      const lines = [[...pending, first].join(""), ...whole].filter((line) => line !== "");
      pending = [];
      pendingLength = 0;
      if (lines.length > 0) yield lines;
    }
    if (last === "") continue;
    pending.push(last);
    pendingLength += last.length;
    if (pendingLength > LINE_BYTES_MAX) throw new RangeError(`a line of more than ${LINE_BYTES_MAX} bytes`);
  }
}
