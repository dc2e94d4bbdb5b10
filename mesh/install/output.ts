/** Rendered objects as YAML or as JSON. */
import { parse } from "yaml";
import { manifestStream, type Rendered } from "./chart.ts";

/** `json` is one List, which kubectl applies as well. */
export function printObjects(rendered: readonly Rendered[], output: "yaml" | "json"): string {
  switch (output) {
    case "yaml":
      return manifestStream(rendered);
    case "json": {
      const items = rendered.map(({ yaml }): unknown => parse(yaml, { version: "1.1", schema: "core" }));
      return `${JSON.stringify({ apiVersion: "v1", kind: "List", items }, undefined, 2)}\n`;
    }
  }
}
