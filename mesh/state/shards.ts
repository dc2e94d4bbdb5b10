/**
 * An immutable map that is cheap to change: a tree of small maps, of which a change copies one and the path to it.
 *
 * Two maps of which one came from the other share all that did not change, so that what differs is found without looking
 * at the rest.
 */

/** Children of a node. */
const WIDTH = 32;
const BITS = 5;
/** Maps that are small stay as they are: copying them is cheaper than a tree. */
const SMALL_MAX = 256;

type Leaf<V> = ReadonlyMap<string, V>;
type Branch<V> = readonly (Leaf<V> | undefined)[];

/** FNV-1a over UTF-16 code units. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) {
    hash ^= key.charCodeAt(at);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}

function upper(hash: number): number {
  return hash & (WIDTH - 1);
}

function lower(hash: number): number {
  return (hash >>> BITS) & (WIDTH - 1);
}

/** See the head of the file. Entries come in no order that means anything. */
class Shards<V> implements ReadonlyMap<string, V> {
  readonly size: number;
  readonly root: readonly (Branch<V> | undefined)[];

  constructor(root: readonly (Branch<V> | undefined)[], size: number) {
    this.root = root;
    this.size = size;
  }

  get(key: string): V | undefined {
    return this.leaf(hashOf(key))?.get(key);
  }

  has(key: string): boolean {
    return this.leaf(hashOf(key))?.has(key) ?? false;
  }

  leaf(hash: number): Leaf<V> | undefined {
    return this.root[upper(hash)]?.[lower(hash)];
  }

  /** With another leaf where keys of this hash are. */
  withLeaf(hash: number, leaf: Leaf<V>): Shards<V> {
    const size = this.size - (this.leaf(hash)?.size ?? 0) + leaf.size;
    const branch = [...(this.root[upper(hash)] ?? [])];
    branch[lower(hash)] = leaf;
    const root = [...this.root];
    root[upper(hash)] = branch;
    return new Shards(root, size);
  }

  *entries(): MapIterator<[string, V]> {
    for (const branch of this.root) for (const leaf of branch ?? []) yield* leaf?.entries() ?? [];
    return undefined;
  }

  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
    return undefined;
  }

  *values(): MapIterator<V> {
    for (const branch of this.root) for (const leaf of branch ?? []) yield* leaf?.values() ?? [];
    return undefined;
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }

  forEach(callback: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }
}

/** The same entries in the form that is cheapest to change. */
export function shared<V>(map: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
  if (map instanceof Shards || map.size <= SMALL_MAX) return map;
  const root: Map<string, V>[][] = [];
  for (const [key, value] of map) {
    const hash = hashOf(key);
    const branch = (root[upper(hash)] ??= []);
    const leaf = (branch[lower(hash)] ??= new Map<string, V>());
    leaf.set(key, value);
  }
  return new Shards(root, map.size);
}

/** With `value` at `key`. */
export function withEntry<V>(map: ReadonlyMap<string, V>, key: string, value: V): ReadonlyMap<string, V> {
  if (!(map instanceof Shards)) return shared(new Map(map).set(key, value));
  const hash = hashOf(key);
  return map.withLeaf(hash, new Map(map.leaf(hash)).set(key, value));
}

/** Without what is at `key`. */
export function withoutEntry<V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> {
  const leafOf = (leaf: ReadonlyMap<string, V> | undefined): ReadonlyMap<string, V> => {
    const after = new Map(leaf);
    after.delete(key);
    return after;
  };
  if (!map.has(key)) return map;
  if (!(map instanceof Shards)) return leafOf(map);
  const hash = hashOf(key);
  return map.withLeaf(hash, leafOf(map.leaf(hash)));
}

/** One key whose values differ; `undefined` where there is none. */
export interface Differing<V> {
  readonly before: V | undefined;
  readonly after: V | undefined;
}

function* leafDifferences<V>(
  before: ReadonlyMap<string, V> | undefined,
  after: ReadonlyMap<string, V> | undefined,
): Generator<Differing<V>, void> {
  if (before === after) return;
  for (const [key, value] of after ?? []) {
    const known = before?.get(key);
    if (known !== value) yield { before: known, after: value };
  }
  for (const [key, value] of before ?? [])
    if (after?.has(key) !== true) yield { before: value, after: undefined };
}

/** What differs between two maps, values compared by identity. */
export function* differences<V>(
  before: ReadonlyMap<string, V>,
  after: ReadonlyMap<string, V>,
): Generator<Differing<V>, void> {
  if (!(before instanceof Shards) || !(after instanceof Shards)) {
    yield* leafDifferences(before, after);
    return;
  }
  for (let at = 0; at < WIDTH; at += 1) {
    const [one, other]: readonly (Branch<V> | undefined)[] = [before.root[at], after.root[at]];
    if (one === other) continue;
    for (let below = 0; below < WIDTH; below += 1) yield* leafDifferences(one?.[below], other?.[below]);
  }
}

/** A value that is computed from a map, and kept up to date by what differs from the map it was asked for last. */
export interface IndexOf<V, I> {
  readonly create: () => I;
  readonly add: (index: I, value: V) => void;
  readonly remove: (index: I, value: V) => void;
}

/**
 * A function from a map to its index. The index must not be kept: it is that of the map asked for last. `remove` must
 * undo `add` whatever happened in between, so that the index depends on the map alone.
 */
export function indexed<V, I>({ create, add, remove }: IndexOf<V, I>): (map: ReadonlyMap<string, V>) => I {
  let last: { readonly map: ReadonlyMap<string, V>; readonly index: I } | undefined;
  return (map) => {
    if (last?.map === map) return last.index;
    const from = last ?? { map: new Map<string, V>(), index: create() };
    for (const { before, after } of differences(from.map, map)) {
      if (before !== undefined) remove(from.index, before);
      if (after !== undefined) add(from.index, after);
    }
    last = { map, index: from.index };
    return from.index;
  };
}
