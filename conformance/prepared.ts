/** How a part says that a preparation is over: this, and its name, on a line of its own. */
export const PREPARED = "prepared: ";
