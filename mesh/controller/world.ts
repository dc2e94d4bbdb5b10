/** The manifest source wired to the fold: files → accepted objects → snapshot. */
import { accept, NOTHING_ACCEPTED } from "../source/manifests/accept.ts";
import { complete } from "../source/manifests/complete.ts";
import type { Problem } from "../source/manifests/document.ts";
import { watchManifests } from "../source/manifests/load.ts";
import { applyAll, emptySnapshot, relistAll, type Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import type { Log } from "./log.ts";

/** What a source says, as it is now. */
export interface World {
  readonly snapshots: Latest<Snapshot>;
  readonly problems: Latest<readonly Problem[]>;
  /** Resolves when everything was read for the first time. */
  readonly loaded: Promise<void>;
  /** Ends when `signal` aborts and nothing is under way any more. */
  readonly done: Promise<void>;
}

function keyOfProblem(problem: Problem): string {
  return JSON.stringify(problem);
}

/** Logs each problem once when it appears and once when it is gone. */
export function logProblems(log: Log, before: readonly Problem[], after: readonly Problem[]): void {
  const known = new Set(before.map(keyOfProblem));
  const present = new Set(after.map(keyOfProblem));
  for (const problem of after) {
    if (known.has(keyOfProblem(problem))) continue;
    const { severity, file, line, object, field, message } = problem;
    log(severity === "error" ? "error" : "warn", "problem of an object", {
      file,
      line,
      object,
      field,
      problem: message,
    });
  }
  for (const problem of before) {
    if (present.has(keyOfProblem(problem))) continue;
    const { file, line, object, field } = problem;
    log("info", "problem of an object resolved", { file, line, object, field });
  }
}

/** Starts to follow the directories. */
export function followManifests(
  dirs: readonly string[],
  { log, signal }: { log: Log; signal: AbortSignal },
): World {
  // Revisions grow over restarts, too: there are fewer changes than milliseconds.
  const snapshots = new Latest(emptySnapshot(), Date.now());
  const problems = new Latest<readonly Problem[]>([]);
  const first = Promise.withResolvers<void>();
  const follow = async (): Promise<void> => {
    let accepted = NOTHING_ACCEPTED;
    for await (const loaded of watchManifests(dirs, { signal })) {
      accepted = accept(accepted, loaded);
      const completed = complete(accepted);
      logProblems(log, problems.value, completed.problems);
      problems.set(completed.problems);
      snapshots.set(applyAll(snapshots.value, relistAll(completed.objects)));
      first.resolve();
    }
  };
  const done = follow();
  // A failure before the first answer is a failure to start; later ones end `done`, which the process waits for.
  done.catch((error: unknown) => first.reject(error));
  return { snapshots, problems, loaded: first.promise, done };
}
