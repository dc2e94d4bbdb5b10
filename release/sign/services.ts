/** Where a Sigstore is: its certificate authority, its log and its clock, from the file that cosign reads, too. */
import { z } from "zod";

const Service = z.object({
  url: z.url({ protocol: /^https?$/ }),
  majorApiVersion: z.int(),
  validFor: z.object({ start: z.string(), end: z.string().optional() }),
});
type Service = z.infer<typeof Service>;

/** `signing_config.v0.2.json`, as far as it is used (sigstore protobuf-specs, `SigningConfig`). */
const SigningConfig = z.object({
  mediaType: z.literal("application/vnd.dev.sigstore.signingconfig.v0.2+json"),
  caUrls: z.array(Service),
  rekorTlogUrls: z.array(Service),
  tsaUrls: z.array(Service),
});

/** One of each; without a slash at the end. */
export interface Services {
  /** Fulcio, API version 1 (its paths say v2). */
  readonly authority: string;
  /** Rekor v2. */
  readonly log: string;
  /** RFC 3161 behind Sigstore's own JSON; the whole path. */
  readonly clock: string;
}

function inForce({ validFor: { start, end } }: Service, now: Date): boolean {
  return Date.parse(start) <= now.getTime() && (end === undefined || now.getTime() < Date.parse(end));
}

/** Of several that are in force the one that began last: the others are on their way out. */
function newest(services: readonly Service[], field: string, version: number, now: Date): string {
  const usable = services
    .filter((service) => service.majorApiVersion === version && inForce(service, now))
    .toSorted((one, other) => Date.parse(other.validFor.start) - Date.parse(one.validFor.start));
  const [first] = usable;
  if (first === undefined)
    throw new Error(`signing configuration: ${field} has no service of version ${version} in force`);
  return first.url.replace(/\/+$/, "");
}

/** @throws naming the field that is wrong, or the service that is missing. */
export function readServices(text: string, now: Date): Services {
  const parsed = SigningConfig.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`signing configuration: ${z.prettifyError(parsed.error)}`);
  const { caUrls, rekorTlogUrls, tsaUrls } = parsed.data;
  return {
    authority: newest(caUrls, "caUrls", 1, now),
    log: newest(rekorTlogUrls, "rekorTlogUrls", 2, now),
    clock: newest(tsaUrls, "tsaUrls", 1, now),
  };
}
