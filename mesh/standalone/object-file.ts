import { rename, rm, writeFile } from "node:fs/promises";

/** A JSON file that always holds one whole object. While a write is under way only the latest wish is kept. */
export class ObjectFile {
  readonly #path: string;
  #wanted: object | undefined;
  #writing: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Returns when this object or a later one is on disk. */
  save(object: object): Promise<void> {
    this.#wanted = object;
    this.#writing ??= this.#drain();
    return this.#writing;
  }

  async remove(): Promise<void> {
    this.#wanted = undefined;
    await this.#writing?.catch(() => undefined);
    await rm(this.#path, { force: true });
  }

  async #drain(): Promise<void> {
    try {
      while (this.#wanted !== undefined) {
        const object = this.#wanted;
        this.#wanted = undefined;
        // Renamed into place: a reader sees one state or the other. The dot hides it from readers of the directory.
        const at = this.#path.lastIndexOf("/") + 1;
        const fresh = `${this.#path.slice(0, at)}.${this.#path.slice(at)}`;
        await writeFile(fresh, `${JSON.stringify(object)}\n`, { mode: 0o600 });
        await rename(fresh, this.#path);
      }
    } finally {
      this.#writing = undefined;
    }
  }
}
