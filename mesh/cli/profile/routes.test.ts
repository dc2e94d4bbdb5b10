import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "@hauberk/mesh/source/decode/decode.ts";
import { parseFile } from "@hauberk/mesh/source/manifests/parse.ts";
import { writeYaml } from "@hauberk/mesh/source/manifests/yaml.ts";
import { DescriptionError, openApiRoutes, profileObject, profileTemplate, protoRoutes } from "./routes.ts";

const NAME = "web.shop.svc.cluster.local";

/** Whether the text is one ServiceProfile that the mesh reads. */
function isProfile(text: string): boolean {
  const { documents, problems } = parseFile("profile.yaml", text);
  assert.deepEqual(problems, []);
  const [document] = documents;
  return documents.length === 1 && document !== undefined && decode(document.object)?.ok === true;
}

test("operations of OpenAPI become routes, in both versions", () => {
  const paths = {
    "/books/{id}.json": {
      get: { responses: { 200: {}, 500: {}, default: {} }, "x-linkerd-retryable": true },
      parameters: [],
    },
    "/": { post: { "x-linkerd-timeout": "2s" } },
  };
  for (const [head, base] of [
    [{ swagger: "2.0", basePath: "/v1/" }, "/v1"],
    [{ openapi: "3.1.0", servers: [{ url: "https://a.test/v1" }] }, "/v1"],
    [{ openapi: "3.0.0" }, ""],
  ] as const) {
    const routes = openApiRoutes({ ...head, paths });
    assert.deepEqual(
      routes.map(({ name, condition }) => [name, condition.pathRegex]),
      [
        [`POST ${base}/`, `${base}/`],
        [`GET ${base}/books/{id}.json`, `${base}/books/[^/]*\\.json`],
      ],
    );
    assert.equal(routes[0]?.timeout, "2s");
    assert.equal(routes[1]?.isRetryable, true);
    assert.deepEqual(
      routes[1]?.responseClasses?.map(({ isFailure }) => isFailure),
      [undefined, true],
    );
    assert.ok(isProfile(writeYaml([profileObject(NAME, "shop", routes)])));
  }
});

test("methods of protobuf services become routes, whatever comments and strings say", () => {
  const routes = protoRoutes(`
    syntax = "proto3"; // service Fake { rpc No(A) returns (B); }
    package shop.v1; /* rpc Neither( */
    message A { string service = 1; }
    service Books {
      option (x) = { text: "rpc Nor(" };
      rpc Get (A) returns (B) { option (google.api.http) = { get: "/v1/{name}" }; }
      rpc List(stream A) returns (stream B);
    }
    service Admin { rpc Drop(A) returns (B) {} }
  `);
  assert.deepEqual(
    routes.map(({ name, condition }) => [name, condition.method, condition.pathRegex]),
    [
      ["Get", "POST", "/shop\\.v1\\.Books/Get"],
      ["List", "POST", "/shop\\.v1\\.Books/List"],
      ["Drop", "POST", "/shop\\.v1\\.Admin/Drop"],
    ],
  );
});

test("what is no description is refused", () => {
  for (const wrong of [{}, { paths: {} }, "text", { openapi: "3.0.0" }])
    assert.throws(() => openApiRoutes(wrong), DescriptionError);
  for (const wrong of ["", "message A {}", "service A { rpc B(C) returns (D);"])
    assert.throws(() => protoRoutes(wrong), DescriptionError);
});

test("the template is a profile", () => {
  assert.ok(isProfile(profileTemplate(NAME, "shop")));
});
