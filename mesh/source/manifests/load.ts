/**
 * Directories of manifests → documents and problems, once or for as long as they change.
 *
 * `*.yaml`, `*.yml` and `*.json` directly in the directory, as `kubectl apply -f DIR` reads it; a path may also
 * name one file. Files whose name starts with a dot (editors' swap files, `..data` of mounted ConfigMaps) are skipped.
 */
import { watch, type FSWatcher } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeObject, objectKey, type ManifestDocument, type Problem } from "./document.ts";
import { parseFile, type ParsedFile } from "./parse.ts";

/** Largest manifest file; etcd refuses single objects above 1.5 MiB. */
const FILE_BYTES_MAX = 8 * 1024 * 1024;
/** Most manifest files of one source. */
const FILES_MAX = 20_000;
/** An editor's save is several events; the scan waits until they have been silent for so long. */
const SETTLE_MS = 25;
/** Waits for silence before a scan happens anyway: a directory that is always written to must not be starved. */
const SETTLE_WAITS_MAX = 8;
/** Scans without an event, for changes that no event tells of: symlink targets, network file systems. */
const POLL_MS = 2_000;

/** What the directories hold now. */
export interface Loaded {
  /** In the order of the directories, then of file names, then as written. No two are the same object. */
  readonly documents: readonly ManifestDocument[];
  readonly problems: readonly Problem[];
  /** Files (or directories) that were there but could not be read whole: what was accepted from them stands. */
  readonly broken: ReadonlySet<string>;
}

interface CachedFile {
  readonly signature: string;
  readonly parsed: ParsedFile;
}

type Cache = Map<string, CachedFile>;

function isManifest(name: string): boolean {
  return !name.startsWith(".") && /\.(ya?ml|json)$/.test(name);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : "unknown error";
}

/** An entry that says why nothing was read; the same one as before when the reason is the same. */
function refuse(file: string, message: string, before: Cache): CachedFile {
  const known = before.get(file);
  if (known?.signature === message) return known;
  const problem: Problem = { severity: "error", file, line: 0, object: "", field: "", message };
  return { signature: message, parsed: { documents: [], problems: [problem], whole: false } };
}

/** The parsed file, from `before` when it has not changed; `undefined` when it is not (or no longer) a file. */
async function loadFile(file: string, before: Cache): Promise<CachedFile | undefined> {
  try {
    const status = await stat(file, { bigint: true });
    if (!status.isFile()) return undefined;
    const signature = `${status.ino}:${status.size}:${status.mtimeNs}:${status.ctimeNs}`;
    const known = before.get(file);
    if (known?.signature === signature) return known;
    if (status.size > BigInt(FILE_BYTES_MAX)) {
      return refuse(file, `larger than ${FILE_BYTES_MAX} bytes`, before);
    }
    return { signature, parsed: parseFile(file, await readFile(file, "utf8")) };
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    return refuse(file, `cannot be read: ${codeOf(error)}`, before);
  }
}

type Listed =
  | { readonly ok: true; readonly files: readonly string[] }
  | { readonly ok: false; readonly why: string };

/** The manifest files under one path, or why it cannot be listed. */
async function listFiles(path: string): Promise<Listed> {
  try {
    if ((await stat(path)).isFile()) return { ok: true, files: [path] };
    const names = (await readdir(path)).filter(isManifest).toSorted();
    if (names.length > FILES_MAX) return { ok: false, why: `holds more than ${FILES_MAX} manifests` };
    return { ok: true, files: names.map((name) => join(path, name)) };
  } catch (error) {
    return { ok: false, why: `cannot be listed: ${codeOf(error)}` };
  }
}

/** One look at everything. What is in `stale` is read again even if it seems unchanged. */
async function scan(dirs: readonly string[], before: Cache, stale: ReadonlySet<string>): Promise<Cache> {
  const usable = new Map([...before].filter(([file]) => !stale.has(file)));
  const cache: Cache = new Map();
  for (const dir of dirs) {
    const listed = await listFiles(dir);
    if (!listed.ok) {
      cache.set(dir, refuse(dir, listed.why, usable));
      continue;
    }
    for (const file of listed.files) {
      const loaded = await loadFile(file, usable);
      if (loaded !== undefined) cache.set(file, loaded);
    }
  }
  return cache;
}

function differs(cache: Cache, before: Cache): boolean {
  return cache.size !== before.size || [...cache].some(([file, loaded]) => before.get(file) !== loaded);
}

/** Joins the files; of two documents that are the same object the first stands and the second is reported. */
function collect(cache: Cache): Loaded {
  const first = new Map<string, ManifestDocument>();
  const problems: Problem[] = [];
  const broken = new Set<string>();
  for (const [file, { parsed }] of cache) {
    problems.push(...parsed.problems);
    if (!parsed.whole) broken.add(file);
    for (const document of parsed.documents) {
      const key = objectKey(document.object);
      const earlier = first.get(key);
      if (earlier === undefined) {
        first.set(key, document);
        continue;
      }
      const { line } = document;
      const message = `is already defined at ${earlier.file}:${earlier.line}; that one is used`;
      problems.push({
        severity: "error",
        file,
        line,
        object: describeObject(document.object),
        field: "",
        message,
      });
    }
  }
  return { documents: [...first.values()], problems, broken };
}

/** Reads the directories once. Never throws for what is in them: that is what `problems` are for. */
export async function loadManifests(dirs: readonly string[]): Promise<Loaded> {
  return collect(await scan(dirs, new Map(), new Set()));
}

/**
 * Yields what the directories hold, first at once and then after each change, until `signal` aborts.
 *
 * Survives saves by rename, deletion of files and of the directories themselves. Events only say when to look:
 * every answer is a scan of everything, so a lost event costs at most `POLL_MS`.
 */
export async function* watchManifests(
  dirs: readonly string[],
  { signal }: { readonly signal: AbortSignal },
): AsyncGenerator<Loaded, void> {
  const watchers = new Watchers(dirs);
  let cache: Cache | undefined;
  try {
    while (!signal.aborted) {
      watchers.arm();
      const fresh = await scan(dirs, cache ?? new Map(), watchers.takeTouched());
      if (cache === undefined || differs(fresh, cache)) {
        cache = fresh;
        yield collect(fresh);
      }
      await watchers.changed(signal);
    }
  } finally {
    watchers.close();
  }
}

/** The `fs.watch` handles of one source, made anew when their directory was replaced. */
class Watchers {
  readonly #dirs: readonly string[];
  readonly #open = new Map<string, FSWatcher>();
  readonly #touched = new Set<string>();
  #wake: () => void = () => undefined;

  constructor(dirs: readonly string[]) {
    this.#dirs = dirs;
  }

  arm(): void {
    for (const dir of this.#dirs) {
      if (this.#open.has(dir)) continue;
      try {
        const watcher = watch(dir, (event, name) => this.#on(dir, event, name));
        watcher.on("error", () => this.#drop(dir));
        this.#open.set(dir, watcher);
      } catch {
        // Not there yet, or out of inotify handles: the poll sees to it.
      }
    }
  }

  /** Files that events named. They are read again even when their signature is the same. */
  takeTouched(): ReadonlySet<string> {
    const touched = new Set(this.#touched);
    this.#touched.clear();
    return touched;
  }

  /** Waits for an event and the silence after it, or for the next poll, or for `signal`. */
  async changed(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    if (this.#touched.size > 0) resolve();
    const poll = setTimeout(resolve, POLL_MS);
    signal.addEventListener("abort", this.#wake, { once: true });
    await promise;
    clearTimeout(poll);
    signal.removeEventListener("abort", this.#wake);
    for (let waits = 0, seen = -1; waits < SETTLE_WAITS_MAX && seen !== this.#touched.size; waits += 1) {
      if (signal.aborted || this.#touched.size === 0) return;
      seen = this.#touched.size;
      await sleep(SETTLE_MS);
    }
  }

  close(): void {
    for (const dir of this.#open.keys()) this.#drop(dir);
  }

  #on(dir: string, event: string, name: string | null): void {
    this.#touched.add(name === null ? dir : join(dir, name));
    // A directory that was moved or deleted reports "rename" of itself; its handle is dead then.
    if (event === "rename" && (name === null || name === basename(dir))) this.#drop(dir);
    this.#wake();
  }

  #drop(dir: string): void {
    this.#open.get(dir)?.close();
    this.#open.delete(dir);
  }
}
