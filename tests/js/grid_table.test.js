// The grid's images: what is shown, what an acceptance takes, what leaves and what comes last.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { createGridTable, GRID_ALL, GRID_MARKED, ROW_DONE, ROW_FLYING, ROW_LATER } from "../../app/components/review_grid/table.js";

let table;

beforeEach(() => {
  table = createGridTable();
  table.load({
    round: 1, classes: ["a", "b"], sort: "confidence", total: 6, ids: [11, 12, 13, 14, 15, 16], predicted: [0, 0, 0, 1, 1, 1],
    confidence: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], value: [0, 0, 0, 0, 0, 0], version: [1, 1, 1, 1, 1, 1], label: [-1, -1, 0, -1, -2, -1],
    group: null,
  }, { leaves: true, waiting: [16, 99] });
});

const listed = () => [...table.list].map((row) => table.ids[row]);
const taken = () => [...table.acceptable(table.pageRows())].map((row) => table.ids[row]);

test("labels are names, also those of classes that the round does not know", () => {
  assert.deepEqual(table.label, [null, null, "a", null, "another class", null]);
  assert.deepEqual(table.counts, [3, 3]);
});

test("an acceptance takes what has no label, no mark and no answer on its way", () => {
  assert.deepEqual(taken(), [11, 12, 14]);
  table.marks.set(12, null);
  assert.deepEqual(taken(), [11, 14]);
});

test("marks are split by whether they have an answer", () => {
  table.marks.set(11, null);
  table.marks.set(14, { action: "correct", label: "a" });
  table.marks.set(16, null); // on its way
  assert.deepEqual(table.marked(table.pageRows()), { answered: [3], open: [0] });
});

test("one class, or the marked ones alone, can be shown; without marks all come back", () => {
  table.filter = 1;
  table.arrange();
  assert.deepEqual(listed(), [14, 15, 16]);
  table.marks.set(12, null);
  table.filter = GRID_MARKED;
  table.arrange();
  assert.deepEqual(listed(), [12]);
  table.marks.clear();
  table.arrange();
  assert.equal(table.filter, GRID_ALL);
  assert.equal(listed().length, 6);
});

test("answered images leave, what was passed over comes last, and the page stays where it was", () => {
  table.pageSize = 2;
  table.page = 1;
  table.arrange();
  table.flag([0], ROW_DONE);
  table.flag([1], ROW_LATER);
  table.rearrange([1]);
  assert.deepEqual(listed(), [13, 14, 15, 16, 12]);
  assert.equal(table.page, 0);
  table.leaves = false;
  table.arrange();
  assert.equal(listed().length, 6);
});

test("a state of the server is taken over", () => {
  assert.equal(table.learn({ image_id: 16, version: 9, label: "b" }, ROW_DONE), 5);
  assert.deepEqual([table.version[5], table.label[5], table.is(5, ROW_DONE), table.is(5, ROW_FLYING)], [9, "b", true, false]);
  assert.equal(table.learn({ image_id: 77, version: 9, label: "b" }), undefined);
  assert.equal(table.learn(null), undefined);
});
