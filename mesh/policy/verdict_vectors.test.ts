/** The vectors that hold our view of routes and paths together with the proxy's, whose tests read them, too. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { HttpRoute_RuleSchema } from "../api/gen/inbound_pb.ts";
import type { HostMatch, ValueMatch } from "../model/route.ts";
import { wireHost, wireHttpMatch } from "./match.ts";
import { findRule, httpRule, type AskedRequest, type Ruled } from "./verdict_match.ts";
import { canonicalPath } from "./verdict_path.ts";

const VECTORS = join(import.meta.dirname, "../../proxy/model/vectors");

function lines(name: string): readonly string[] {
  const all = readFileSync(join(VECTORS, name), "utf8").split("\n");
  return all.filter((line) => line !== "" && !line.startsWith("#"));
}

function given(word: string): string | undefined {
  return word === "-" ? undefined : word;
}

function valueOf(word: string): ValueMatch {
  const [, name = "", mark, value = ""] = /^([^=~]+)([=~])(.*)$/.exec(word) ?? [];
  return { type: mark === "~" ? "RegularExpression" : "Exact", name, value };
}

function hostOf(word: string): HostMatch {
  return word.startsWith("*.") ? { type: "suffix", suffix: word.slice(2) } : { type: "exact", host: word };
}

const KINDS = { exact: "Exact", prefix: "PathPrefix", regex: "RegularExpression" } as const;

function routeOf(text: string, at: number): Ruled<number> {
  const [host = "", kind = "", path = "", method = "", headers = "", query = ""] = text.split(" ");
  const type = kind === "exact" || kind === "prefix" || kind === "regex" ? KINDS[kind] : undefined;
  const match = wireHttpMatch({
    path: type === undefined ? { type: "PathPrefix", value: "/" } : { type, value: path },
    headers: given(headers)?.split(",").map(valueOf) ?? [],
    queryParams: given(query) === undefined ? [] : [valueOf(query)],
    method: given(method),
  });
  return {
    route: at,
    hosts: given(host) === undefined ? [] : [wireHost(hostOf(host))],
    rules: [httpRule(create(HttpRoute_RuleSchema, { matches: [match] }))],
  };
}

function requestOf(text: string): AskedRequest {
  const [authority = "", path = "", method = "", headers = "", query = ""] = text.split(" ");
  const fields = (given(headers)?.split(",") ?? []).map((pair) => pair.split("="));
  const values = Map.groupBy(fields, ([name = ""]) => name);
  return {
    authority,
    path,
    method,
    query: given(query) ?? "",
    headers: new Map([...values].map(([name, all]) => [name, all.map(([, value = ""]) => value)])),
  };
}

test("paths have the form that the vectors say", () => {
  const vectors = lines("paths.txt");
  assert.ok(vectors.length > 30);
  for (const line of vectors) {
    const [path = "", expected] = line.split(" ");
    assert.equal(canonicalPath(path) ?? "!", expected, path);
  }
});

test("requests follow the routes that the vectors say", () => {
  const vectors = lines("routes.txt");
  assert.ok(vectors.length > 40);
  for (const line of vectors) {
    const [rules = "", asked = "", expected] = line.split(" | ");
    const found = findRule(rules.split(" ; ").map(routeOf), requestOf(asked));
    assert.equal(found === undefined ? "!" : String(found.route), expected, line);
  }
});
