/** Annotations read by name; what cannot be read is kept apart. Pure. */
import type { Meta } from "../model/meta.ts";

/** An annotation that is not understood. */
export interface BadAnnotation {
  readonly name: string;
  readonly value: string;
}

/** Reads annotations by name and keeps those that cannot be read. */
export class Reader {
  readonly bad: BadAnnotation[] = [];
  readonly #annotations: Meta["annotations"];

  constructor({ annotations }: Meta) {
    this.#annotations = annotations;
  }

  has(name: string): boolean {
    return this.#annotations[name] !== undefined;
  }

  read<T>(name: string, parse: (text: string) => T | undefined): T | undefined {
    const value = this.#annotations[name]?.trim();
    if (value === undefined || value === "") return undefined;
    const parsed = parse(value);
    if (parsed === undefined) this.bad.push({ name, value });
    return parsed;
  }

  list<T>(name: string, parse: (text: string) => T | undefined): readonly T[] | undefined {
    return this.read(name, (text) => {
      const parsed = text.split(",").map((part) => parse(part.trim()));
      const known = parsed.filter((one) => one !== undefined);
      return known.length === parsed.length ? known : undefined;
    });
  }
}

/** A whole number up to `max`. */
export function wholeNumber(max: number) {
  return (text: string): number | undefined => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : undefined;
    return value === undefined || value > max ? undefined : value;
  };
}

/** A number without sign, with or without a fraction. */
export function ratio(text: string): number | undefined {
  return /^\d{1,3}(\.\d{1,9})?$/.test(text) ? Number(text) : undefined;
}
