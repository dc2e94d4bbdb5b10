import { z } from "zod";

const PolicyObject = z.object({
  group: z.string(),
  kind: z.string(),
  namespace: z.string(),
  name: z.string(),
  port: z.number().nullable(),
});
type PolicyObject = z.infer<typeof PolicyObject>;

const EndpointFacts = z.object({
  addr: z.string(),
  identity: z.string().nullable(),
  namespace: z.string().nullable(),
  pod: z.string().nullable(),
});
type EndpointFacts = z.infer<typeof EndpointFacts>;

/** One request as one proxy saw it. */
export const Record = z.object({
  id: z.string(),
  side: z.enum(["outbound", "inbound"]),
  time: z.string(),
  client: z.string(),
  target: z.string(),
  method: z.string(),
  authority: z.string(),
  path: z.string(),
  peer: z.string().optional(),
  parent: PolicyObject.optional(),
  route: PolicyObject.optional(),
  decision: z.enum(["allowed", "denied", "limited"]).optional(),
  /** Why it was denied. */
  reason: z.string().optional(),
  authorization: PolicyObject.optional(),
  backend: PolicyObject.optional(),
  endpoint: EndpointFacts.optional(),
  attempts: z.number().optional(),
  trouble: z
    .object({
      tried: z.array(z.object({ endpoint: EndpointFacts, code: z.string(), after_us: z.number() })),
      skipped: z.array(
        z.object({
          endpoint: EndpointFacts,
          state: z.enum(["breaker_open", "probing", "no_weight"]),
          reason: z.string().nullable(),
          time_us: z.number(),
        }),
      ),
      ready: z.number(),
      endpoints: z.number(),
    })
    .optional(),
  answered_us: z.number().optional(),
  ended_us: z.number().optional(),
  code: z.string().optional(),
  failed: z.boolean(),
  status: z.number().optional(),
  grpc_status: z.string().optional(),
  complete: z.boolean().optional(),
});
export type Record = z.infer<typeof Record>;

/** The answer of a proxy's `/explain`. `since`: from when on nothing was overwritten; `null`: nothing ever was. */
export const Told = z.object({
  records: z.array(Record),
  since: z.object({ recent: z.string().nullable(), failed: z.string().nullable() }),
});
export type Told = z.infer<typeof Told>;

/** What one proxy told, or why it did not. */
export type Word =
  | { readonly pod: string; readonly told: Told }
  | { readonly pod: string; readonly silent: string };

/** A request, from the records of all proxies that it passed. */
export interface Story {
  readonly id: string;
  readonly halves: readonly { readonly pod: string; readonly record: Record }[];
  /** The first code that a proxy gave, counted from the server: where the answer came from. */
  readonly code: string | undefined;
  readonly silent: readonly { readonly pod: string; readonly why: string }[];
  /** Proxies that have overwritten ordinary requests since this time; the record of one may be among them. */
  readonly overwritten: readonly { readonly pod: string; readonly since: string }[];
}

/** Joins what proxies told of one id: the client's side first, and of each side the earlier one. */
export function join(id: string, words: readonly Word[]): Story {
  const halves = words.flatMap((word) =>
    "told" in word ? word.told.records.map((record) => ({ pod: word.pod, record })) : [],
  );
  const rank = { outbound: 0, inbound: 1 } as const;
  const sorted = halves.toSorted(
    (a, b) => rank[a.record.side] - rank[b.record.side] || a.record.time.localeCompare(b.record.time),
  );
  return {
    id,
    halves: sorted,
    code: sorted.findLast(({ record }) => record.code !== undefined)?.record.code,
    silent: words.flatMap((word) => ("silent" in word ? [{ pod: word.pod, why: word.silent }] : [])),
    overwritten: words.flatMap((word) =>
      "told" in word && word.told.since.recent !== null
        ? [{ pod: word.pod, since: word.told.since.recent }]
        : [],
    ),
  };
}

/** Where a code is explained. */
export function anchor(code: string): string {
  return `docs/guide/errors.md#${code}`;
}

/** The story as a person reads it. */
export function tell(story: Story): string {
  const [first] = story.halves;
  if (first === undefined) return nothing(story);
  const { record } = first;
  const to = record.authority === "" ? record.target : record.authority;
  const asked =
    record.method === "" ? `a head that is no request, to ${to}` : `${record.method} ${record.path} at ${to}`;
  return [
    `${story.id}  ${asked}`,
    ...story.halves.flatMap(({ pod, record: half }) => ["", ...lines(pod, half)]),
    ...missing(story),
    ...(story.code === undefined
      ? []
      : ["", `what ${story.code} means and what helps: ${anchor(story.code)}`]),
  ].join("\n");
}

function nothing({ id, silent, overwritten }: Story): string {
  const since = overwritten.map(({ since: from }) => from).toSorted()[0];
  return [
    `no proxy has a record of ${id}`,
    since === undefined
      ? "nothing was overwritten yet: the id is of another mesh, or its proxy is gone"
      : `records are overwritten when newer ones need their place: ordinary requests before ${since} may be gone, failed ones stay longer`,
    ...silent.map(({ pod, why }) => `${pod} did not answer: ${why}`),
  ].join("\n");
}

/** What a reader would otherwise take for the whole. */
function missing({ halves, silent }: Story): readonly string[] {
  const sides = new Set(halves.map(({ record }) => record.side));
  const met = halves.some(
    ({ record }) => record.side === "outbound" && typeof record.endpoint?.identity === "string",
  );
  const lone = halves.some(({ record }) => record.side === "inbound" && record.peer !== undefined);
  return [
    ...(met && !sides.has("inbound")
      ? ["", "the server's proxy has no record: the request did not reach it, or the record was overwritten"]
      : []),
    ...(lone && !sides.has("outbound") ? ["", "the client's proxy has no record: it was overwritten"] : []),
    ...silent.map(({ pod, why }) => `${pod} did not answer: ${why}`),
  ];
}

function lines(pod: string, record: Record): readonly string[] {
  const facts = record.side === "outbound" ? outbound(record) : inbound(record);
  const rows = [...facts, ...ending(record)].filter((row) => row[1] !== "");
  const title = record.side === "outbound" ? "client's proxy" : "server's proxy";
  return [`${title}, ${pod}, ${record.time}`, ...rows.map(([name, value]) => `  ${name.padEnd(9)} ${value}`)];
}

type Row = readonly [name: string, value: string];

function outbound(record: Record): readonly Row[] {
  const { trouble } = record;
  const tried = trouble?.tried ?? [];
  const skipped = trouble?.skipped ?? [];
  return [
    ["from", record.client],
    ["for", record.parent === undefined ? `${record.target} (no policy)` : named(record.parent)],
    ["route", record.route === undefined ? "none matches" : named(record.route)],
    ["backend", record.backend === undefined ? "" : named(record.backend)],
    ...tried.map(({ endpoint, code, after_us }): Row => [
      "tried",
      `${place(endpoint)}: ${code} after ${duration(after_us)}`,
    ]),
    ...skipped.map(({ endpoint, ...why }): Row => ["skipped", `${place(endpoint)}: ${skip(why)}`]),
    [
      "endpoints",
      trouble === undefined || trouble.endpoints === 0
        ? ""
        : `${trouble.ready} of ${trouble.endpoints} ready`,
    ],
    ["endpoint", record.endpoint === undefined ? "none was chosen" : place(record.endpoint)],
    ["peer", record.endpoint === undefined ? "" : (record.endpoint.identity ?? "not in the mesh: plaintext")],
    ["attempts", String(record.attempts ?? 0)],
  ];
}

function inbound(record: Record): readonly Row[] {
  return [
    ["from", `${record.client}, ${record.peer ?? "no proven identity"}`],
    ["server", record.parent === undefined ? "no policy" : named(record.parent)],
    ["route", record.route === undefined ? "none matches" : named(record.route)],
    ["decision", decision(record)],
  ];
}

function decision({ decision: said, authorization, reason }: Record): string {
  switch (said) {
    case "allowed":
      return `allowed by ${authorization === undefined ? "policy" : named(authorization)}`;
    case "denied":
      return `denied: no authorization admits this request${reason === undefined ? "" : ` (${reason})`}`;
    case "limited":
      return "allowed, and over a rate limit";
    case undefined:
      return "";
  }
}

function ending(record: Record): readonly Row[] {
  const status = [record.status === undefined ? "" : `HTTP ${record.status}`, record.grpc_status ?? ""];
  const words = status.filter((word) => word !== "").join(", ");
  const outcome = words === "" ? "no response" : words;
  return [
    ["answered", record.answered_us === undefined ? "" : `after ${duration(record.answered_us)}`],
    [
      "ended",
      record.ended_us === undefined
        ? "not yet"
        : `${outcome} after ${duration(record.ended_us)}${record.complete === true ? "" : ", broken off"}`,
    ],
    ["code", record.code ?? ""],
  ];
}

/** `HTTPRoute shop/orders`, `Service shop/orders:80`; a default by its name. */
function named({ kind, namespace, name, port }: PolicyObject): string {
  if (kind === "default") return `default ${name}`;
  const where = namespace === "" ? name : `${namespace}/${name}`;
  return `${kind} ${where}${port === null ? "" : `:${port}`}`;
}

function place({ addr, namespace, pod }: EndpointFacts): string {
  return pod === null ? addr : `${addr} (${namespace ?? ""}/${pod})`;
}

function skip(why: {
  readonly state: "breaker_open" | "probing" | "no_weight";
  readonly reason: string | null;
  readonly time_us: number;
}): string {
  switch (why.state) {
    case "breaker_open":
      return `breaker open for another ${duration(why.time_us)} (${why.reason ?? "unknown"})`;
    case "probing":
      return `one request tries since ${duration(why.time_us)} whether it is back (${why.reason ?? "unknown"})`;
    case "no_weight":
      return "discovery gives it no weight";
  }
}

function duration(us: number): string {
  if (us < 1_000) return `${us}us`;
  return us < 1_000_000 ? `${(us / 1_000).toFixed(1)}ms` : `${(us / 1_000_000).toFixed(2)}s`;
}
