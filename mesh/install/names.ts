/** Which objects an installation has: read off the very templates that install them. */
import { parse } from "yaml";
import { z } from "zod";
import { POLICY_VALIDATOR, PROFILE_VALIDATOR } from "../policy/registration.ts";
import { INJECTOR_SERVICE } from "../proxy-injector/registration.ts";
import { renderChart, type Rendered } from "./chart.ts";
import { CONTROL_PLANE_CHART } from "./component/control_plane.ts";
import type { Values } from "./values/schema.ts";

const Head = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) });

/** Names of the control plane's objects of one kind, for its values. */
export function expectedNames(kind: string, values: Values, namespace: string): readonly string[] {
  return renderChart(CONTROL_PLANE_CHART, { namespace, version: "", values })
    .filter((rendered) => rendered.kind === kind)
    .map(({ yaml }) => Head.parse(parse(yaml)).metadata.name);
}

/** What the control plane makes when it runs, which no rendering has: webhooks' certificates. */
export function isMadeAtRunTime(name: string): boolean {
  return (
    MADE.has(name) ||
    // A revision's injector has a certificate of its own.
    (name.startsWith(`Secret/${INJECTOR_SERVICE}-`) && name.endsWith(CERTIFICATE))
  );
}

const CERTIFICATE = "-k8s-tls";
const MADE: ReadonlySet<string> = new Set(
  [INJECTOR_SERVICE, POLICY_VALIDATOR.service, PROFILE_VALIDATOR.service].map(
    (service) => `Secret/${service}${CERTIFICATE}`,
  ),
);

/** `Kind/name` of each object. */
export function namesIn(rendered: readonly Rendered[]): ReadonlySet<string> {
  return new Set(
    rendered.map(({ yaml }) => {
      const { kind, metadata } = Head.parse(parse(yaml));
      return `${kind}/${metadata.name}`;
    }),
  );
}
