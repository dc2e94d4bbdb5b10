import assert from "node:assert/strict";
import { test } from "node:test";
import {
  neighbours6Of,
  neighboursOf,
  NODES_MAX,
  NUMBER_MAX,
  placeOf,
  readName,
  type Place,
} from "./place.ts";

const at = (name: string, number: number, nodes = 1): Place =>
  placeOf({ name, number, nodes, root: "/state" });

test("no two nodes of any clusters share an address, a range of pods, a link or a namespace", () => {
  const nodes = Array.from({ length: NUMBER_MAX }, (_, index) =>
    at(`c${index + 1}`, index + 1, NODES_MAX),
  ).flatMap((place) => place.nodes);
  assert.equal(nodes.length, NUMBER_MAX * NODES_MAX);
  for (const key of ["address", "podPrefix", "link", "namespace", "dir", "cgroup"] as const)
    assert.equal(new Set(nodes.map((node) => node[key])).size, nodes.length, key);
});

test("every node has a route to the pods of every other node, of its cluster and of others", () => {
  const routes = neighboursOf(2, 1);
  assert.equal(routes.length, NUMBER_MAX * NODES_MAX - 1);
  const other = at("east", 3, 2).nodes[1];
  assert.ok(routes.some(({ pods, node }) => pods === `${other?.podPrefix}.0/24` && node === other?.address));
});

test("a link's name fits what the kernel takes", () => {
  for (const { link } of at("x".repeat(20), NUMBER_MAX, NODES_MAX).nodes) assert.ok(link.length <= 15, link);
});

test("a name that is no label, and a number out of range, are refused with what was given", () => {
  assert.throws(() => at("../etc", 1), /"\.\.\/etc"/);
  assert.throws(() => at("a", 0), /0 is not/);
  assert.throws(() => at("a", 1.5), /1\.5 is not/);
  assert.throws(() => at("a", 1, 9), /not 9/);
});

test("a word names a cluster, and numbers it by what follows a colon or by its last digit", () => {
  assert.deepEqual(readName("dev"), { name: "dev", number: 1 });
  assert.deepEqual(readName("c6"), { name: "c6", number: 6 });
  assert.deepEqual(readName("west:3"), { name: "west", number: 3 });
});

test("with both families no two nodes share an address or a range of pods of either, and routes lead to all", () => {
  const places = Array.from({ length: NUMBER_MAX }, (_, index) =>
    placeOf({ name: "d", number: index + 1, nodes: NODES_MAX, dual: true, root: "/state" }),
  );
  const six = places.flatMap(({ nodes }) =>
    nodes.flatMap((node) => (node.six === undefined ? [] : [node.six])),
  );
  assert.equal(six.length, NUMBER_MAX * NODES_MAX);
  for (const key of ["address", "podPrefix"] as const)
    assert.equal(new Set(six.map((one) => one[key])).size, six.length, key);
  assert.equal(new Set(places.flatMap(({ serviceRanges }) => serviceRanges)).size, NUMBER_MAX * 2);
  assert.equal(neighbours6Of(2, 1).length, NUMBER_MAX * NODES_MAX - 1);
  assert.equal(at("a", 1).first.six, undefined);
});
