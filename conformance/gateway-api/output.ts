/** What the Gateway API's suite prints and reports, as cases. Pure. */
import { parse } from "yaml";
import { z } from "zod";
import type { Case } from "../report.ts";

/** The extended features of a mesh, all that there are in 1.6. */
export const EXTENDED = [
  "MeshClusterIPMatching",
  "MeshConsumerRoute",
  "MeshHTTPRouteRewritePath",
  "MeshHTTPRouteSchemeRedirect",
  "MeshHTTPRouteRedirectPort",
  "MeshHTTPRouteRedirectPath",
  "MeshHTTPRouteBackendRequestHeaderModification",
  "MeshHTTPRouteQueryParamMatching",
  "MeshHTTPRouteNamedRouteRule",
] as const;

/** What the profiles are of, and what some tests of meshes ask for besides. */
export const REQUIRED = [
  "Mesh",
  "HTTPRoute",
  "GRPCRoute",
  "HTTPRouteResponseHeaderModification",
  "HTTPRouteParentRefPort",
  "HTTPRoute303RedirectStatusCode",
  "HTTPRoute307RedirectStatusCode",
  "HTTPRoute308RedirectStatusCode",
] as const;

/** Tests of a whole run with these features. */
export const TESTS_MIN = 22;

const Tally = z.object({
  result: z.string(),
  statistics: z.object({ Passed: z.number(), Failed: z.number(), Skipped: z.number() }),
  failedTests: z.array(z.string()).default([]),
});
const Report = z.object({
  profiles: z.array(
    z.object({
      name: z.string(),
      core: Tally,
      extended: Tally.extend({ supportedFeatures: z.array(z.string()).default([]) }).optional(),
    }),
  ),
});

/** One case for each test that ran, and one for each profile's line in the report that the suite wrote. */
export function casesOf(log: string, report: string): readonly Case[] {
  const tests = [...log.matchAll(/^ {4}--- (PASS|FAIL|SKIP): TestConformance\/(\w+) /gm)]
    // What the chosen features leave out is no test of ours.
    .filter(([, outcome]) => outcome !== "SKIP")
    .map(([, outcome = "", name = ""]) => ({ name, outcome: outcome.toLowerCase() }));
  return [...tests, ...profilesOf(report)];
}

function profilesOf(report: string): readonly Case[] {
  if (report === "") return [];
  return Report.parse(parse(report)).profiles.map(({ name, core, extended }) => {
    const features = extended?.supportedFeatures ?? [];
    const isWhole = core.result === "success" && (extended === undefined || extended.result === "success");
    const meshFeatures = EXTENDED.filter((feature) => features.includes(feature));
    const isHttp = name === "MESH-HTTP";
    return {
      name: `profile ${name}`,
      outcome: isWhole && (!isHttp || meshFeatures.length === EXTENDED.length) ? "pass" : "fail",
      detail: `core ${core.result}, ${core.statistics.Passed} passed; extended ${extended?.result ?? "none"}, ${extended?.statistics.Passed ?? 0} passed${isHttp ? `; ${meshFeatures.length} of ${EXTENDED.length} mesh features` : ""}`,
    };
  });
}
