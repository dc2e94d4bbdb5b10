/** The checks that extensions make of themselves, as a part of the report. */
import type { NamespaceFact } from "./cluster/facts.ts";
import type { Result } from "./results.ts";
import {
  checkExtension,
  findExtension,
  isAlwaysChecked,
  listExtensions,
  type Extension,
} from "../extension.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Extensions whose checks are made: those that the cluster has, and those that always want it. */
export async function extensionResults(
  namespaces: readonly NamespaceFact[],
  args: readonly string[],
  environment: Environment,
): Promise<readonly Result[]> {
  const installed = [
    ...new Set(namespaces.flatMap(({ labels }) => labels["linkerd.io/extension"] ?? [])),
  ].toSorted();
  const programs = await listExtensions(environment);
  const always = await Promise.all(
    programs.map(async (program) => ((await isAlwaysChecked(program)) ? [program.name] : [])),
  );
  const names = [...new Set([...installed, ...always.flat()])];
  const results = await Promise.all(
    names.map(async (name) => {
      const extension = await findExtension(name, environment);
      return extension === undefined ? [absent(name)] : resultsOf(extension, args);
    }),
  );
  return results.flat();
}

function absent(name: string): Result {
  return {
    category: `linkerd-${name}`,
    description: `extension command hauberk-${name} or linkerd-${name} exists`,
    hint: "docs/guide/check.md#extensions",
    finding: {
      type: "warning",
      message: `the cluster has the extension ${name}, and there is no such program`,
    },
    passes: false,
  };
}

async function resultsOf(extension: Extension, args: readonly string[]): Promise<readonly Result[]> {
  const report = await checkExtension(extension, args);
  if (report === undefined) {
    return [
      {
        category: `linkerd-${extension.name}`,
        description: `${extension.program} check gives a report`,
        hint: "docs/guide/check.md#extensions",
        finding: { type: "error", message: "it gave no report in JSON" },
        passes: false,
      },
    ];
  }
  return report.categories.flatMap(({ categoryName, checks }) =>
    checks.map(({ description, hint = "docs/guide/check.md#extensions", error = "", result }) => ({
      category: categoryName,
      description,
      hint,
      finding: result === "success" ? { type: result } : { type: result, message: error },
      passes: false,
    })),
  );
}
