/** Makes new inputs of old ones. Pure: the same seed makes the same inputs. */

/** A generator of 32-bit numbers (mulberry32). */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Longest input: every parser has met its limits by then. */
const INPUT_BYTES_MAX = 4_096;
/** Changes made at once, at most. */
const CHANGES_MAX = 6;
/** Bytes that end or begin something in most grammars. */
const TELLING = Buffer.from("\0\t\n\r \"#%&'*+,-./0:;=?@[\\]_{|}~19azAZ\x7f\x80\xff", "latin1");

type Pick = (below: number) => number;

function one(bytes: Buffer, others: readonly Uint8Array[], pick: Pick): Buffer {
  const at = pick(bytes.length + 1);
  const length = pick(Math.min(32, bytes.length - at + 1) || 1);
  const [before, part, after] = [
    bytes.subarray(0, at),
    bytes.subarray(at, at + length),
    bytes.subarray(at + length),
  ];
  switch (pick(7)) {
    case 0:
      return Buffer.concat([before, after]);
    case 1:
      return Buffer.concat([before, part, part, after]);
    case 2:
      return Buffer.concat([
        before,
        TELLING.subarray(pick(TELLING.length)).subarray(0, 1),
        bytes.subarray(at),
      ]);
    case 3:
      return Buffer.concat([before, Buffer.of(pick(256)), bytes.subarray(at + 1)]);
    case 4:
      return Buffer.concat([before, Buffer.of((bytes[at] ?? 0) ^ (1 << pick(8))), bytes.subarray(at + 1)]);
    case 5: {
      // A word that another input has, in place of what stands here.
      const other = Buffer.from(others[pick(others.length)] ?? []);
      const from = pick(other.length + 1);
      return Buffer.concat([before, other.subarray(from, from + 1 + pick(48)), after]);
    }
    default: {
      const other = Buffer.from(others[pick(others.length)] ?? []);
      return Buffer.concat([before, other.subarray(pick(other.length + 1))]);
    }
  }
}

/** A new input. */
export function mutate(pool: readonly Uint8Array[], pick: Pick): Uint8Array {
  let bytes: Buffer = Buffer.from(pool[pick(pool.length)] ?? []);
  for (let left = 1 + pick(CHANGES_MAX); left > 0; left -= 1) bytes = one(bytes, pool, pick);
  return bytes.subarray(0, INPUT_BYTES_MAX);
}
