/** Checks of what runs: its release's attestations, and the record of what was done. Pure. */
import type { Evidence } from "../evidence/evidence.ts";
import { count, satisfied, unknown, unsatisfied, using, type Check, type Outcome } from "./check.ts";

/** Older than this, advisories say too little of what is known. */
const ADVISORIES_DAYS_MAX = 14;
const DAY_MS = 86_400_000;

/** What says whose an image is. */
const ORIGIN: ReadonlySet<string> = new Set(["signature", "provenance", "summary"]);

/** Whether every part of every image meets the demands. */
function demanded({ release }: Evidence, demands: readonly string[], what: string): Outcome {
  return using(release, ({ checks }) => {
    const own = checks.filter(({ demand }) => demands.includes(demand));
    if (own.length === 0) return unknown("No part of the release was looked at.");
    const failed = own.filter(({ ok }) => !ok);
    if (failed.length > 0)
      return unsatisfied(
        `${count(failed.length, "demand")} of ${own.length} are not met.`,
        failed.map(({ image, part, demand, detail }) => `${image} ${part}: ${demand}: ${detail}`),
      );
    return satisfied(`${what}: ${count(own.length, "statement")} verified, each with both signatures.`);
  });
}

function judgeRunning({ release, workloads }: Evidence): Outcome {
  return using(release, ({ checks }) =>
    using(workloads, (pods) => {
      const refused = new Set(
        checks.flatMap(({ subject, ok, demand }) => (!ok && ORIGIN.has(demand) ? [subject] : [])),
      );
      const subjects = new Set(checks.flatMap(({ subject }) => (refused.has(subject) ? [] : [subject])));
      const running = pods.flatMap(({ namespace, pod, images }) =>
        Object.entries(images).map(([container, image]) => ({
          name: `${namespace}/${pod} ${container}`,
          image,
        })),
      );
      if (running.length === 0) return unknown("Nothing that runs says the digest of its image.");
      const others = running.filter(({ image }) => !subjects.has(image));
      if (others.length > 0)
        return unsatisfied(
          `${count(others.length, "container")} of ${running.length} of the mesh run an image that was not verified.`,
          others.map(({ name, image }) => `${name}: ${image}`),
        );
      return satisfied(`All ${count(running.length, "container")} of the mesh run a verified image.`);
    }),
  );
}

function judgeVulnerabilities(evidence: Evidence): Outcome {
  const signed = demanded(evidence, ["vex"], "VEX documents");
  if (signed.status !== "satisfied") return signed;
  return using(evidence.release, ({ vulnerabilities, advisoriesAt }) => {
    const open = (vulnerabilities["under_investigation"] ?? 0) + (vulnerabilities["affected"] ?? 0);
    if (open > 0) return unsatisfied(`${count(open, "vulnerability", "vulnerabilities")} are open.`, []);
    if (advisoriesAt === undefined)
      return unknown(
        "The VEX documents were made without a snapshot of advisories: they say nothing of what is known today.",
      );
    const days = Math.floor((Date.parse(evidence.at) - Date.parse(advisoriesAt)) / DAY_MS);
    if (days > ADVISORIES_DAYS_MAX)
      return unsatisfied(`The advisories are ${days} days old, and ${ADVISORIES_DAYS_MAX} are allowed.`, [
        advisoriesAt,
      ]);
    return satisfied(`Every known vulnerability is judged; the advisories are ${count(days, "day")} old.`);
  });
}

function judgeConformance(evidence: Evidence): Outcome {
  const signed = demanded(evidence, ["testResult"], "conformance results");
  if (signed.status !== "satisfied") return signed;
  return using(evidence.release, ({ conformance }) => {
    if (conformance === undefined) return unknown("The result names no suites.");
    const { result, passed, warned, failed } = conformance;
    if (result !== "PASSED" || failed > 0)
      return unsatisfied(`The suites ended with ${result}: ${count(failed, "suite")} failed.`, []);
    return satisfied(`${count(passed + warned, "suite")} passed, ${warned} of them with excused cases.`);
  });
}

function judgeRecord({ record }: Evidence): Outcome {
  return using(record, ({ entries, ok, fault }) => {
    if (!ok) return unsatisfied("The record of what was done is broken.", [fault ?? "no reason is given"]);
    if (entries === 0) return unknown("Nothing was recorded yet.");
    return satisfied(
      `${count(entries, "entry", "entries")}, each signed twice and chained to the one before.`,
    );
  });
}

const VERIFY =
  "Verify the release (hauberk verify) and install only what it accepts (hauberk upgrade --channel).";

export const RELEASE_CHECKS: readonly Check[] = [
  {
    id: "images-signed",
    title: "Every image of the release is signed by its builder and let out by its gate",
    needs: ["release"],
    remedy: VERIFY,
    judge: (evidence) => demanded(evidence, ["signature", "summary"], "Signatures and summaries"),
  },
  {
    id: "provenance-verified",
    title: "The origin of every image is attested",
    needs: ["release"],
    remedy: VERIFY,
    judge: (evidence) => demanded(evidence, ["provenance"], "Provenance"),
  },
  {
    id: "materials-listed",
    title: "Every image has a signed bill of materials",
    needs: ["release"],
    remedy: VERIFY,
    judge: (evidence) => demanded(evidence, ["bom"], "Bills of materials"),
  },
  {
    id: "vulnerabilities-judged",
    title: `Known vulnerabilities are judged, by advisories of the last ${ADVISORIES_DAYS_MAX} days`,
    needs: ["release"],
    remedy: "Make a release with a fresh snapshot of advisories, and judge what it names.",
    judge: judgeVulnerabilities,
  },
  {
    id: "conformance-passed",
    title: "The release passed its conformance suites",
    needs: ["release"],
    remedy: "Install a release whose signed test result says PASSED.",
    judge: judgeConformance,
  },
  {
    id: "running-verified",
    title: "What runs is what was verified",
    needs: ["release", "workloads"],
    remedy: "Pin the mesh's images by the digests that hauberk verify accepted.",
    judge: judgeRunning,
  },
  {
    id: "record-intact",
    title: "The record of installations, upgrades and rotations is whole",
    needs: ["record"],
    remedy:
      "Compare with an earlier export (hauberk audit verify --since) and find out who altered the record.",
    judge: judgeRecord,
  },
];
