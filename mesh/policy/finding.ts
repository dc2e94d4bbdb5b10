/** What admission says of one object, as data: which field, and why. */

/** `error`: the object is refused. `warning`: it is taken, and whoever wrote it is told. */
export interface Finding {
  readonly severity: "error" | "warning";
  /** Keys and indices from the object's root. */
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

export function error(path: readonly PropertyKey[], message: string): Finding {
  return { severity: "error", path, message };
}

export function warning(path: readonly PropertyKey[], message: string): Finding {
  return { severity: "warning", path, message };
}
