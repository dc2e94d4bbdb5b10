/** Text in HTML. Pure. */

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text that may stand anywhere in a page, in attributes too. What comes from outside goes through here. */
export function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (one) => ENTITIES[one] ?? "");
}
