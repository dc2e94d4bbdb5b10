import type { WriteStream } from "node:tty";

/** A terminal that is smaller than this shows what fits. */
const SMALLEST = { columns: 80, rows: 24 } as const;

/**
 * Lines that stay, and below them a block that is drawn anew. Where the output is no terminal, the block is printed
 * only when it is asked to stay.
 */
export class Screen {
  readonly #out: WriteStream;
  #block: readonly string[] = [];
  #drawn = 0;

  constructor(out: WriteStream) {
    this.#out = out;
  }

  /** Adds lines that stay. */
  say(text: string): void {
    this.#erase();
    this.#out.write(`${text}\n`);
    this.#draw();
  }

  /** Shows a block in place of the last one. */
  show(text: string): void {
    if (!this.#out.isTTY) return;
    this.#erase();
    const rows = (this.#out.rows ?? SMALLEST.rows) - 2;
    const columns = this.#out.columns ?? SMALLEST.columns;
    this.#block = text
      .split("\n")
      .slice(0, rows)
      .map((line) => line.slice(0, columns - 1));
    this.#draw();
  }

  /** Prints the text for good and forgets the block. */
  keep(text: string): void {
    this.clear();
    this.#out.write(`${text}\n`);
  }

  clear(): void {
    this.#erase();
    this.#block = [];
  }

  #erase(): void {
    if (this.#drawn > 0) this.#out.write(`\u001b[${this.#drawn}A\u001b[0J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (!this.#out.isTTY || this.#block.length === 0) return;
    this.#out.write(`${this.#block.join("\n")}\n`);
    this.#drawn = this.#block.length;
  }
}
