// How sure a prediction is, as it is written on every page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { sureWords } from "../../app/components/common/words.js";
import { aboutImage, standingWords } from "../../app/components/map_canvas/image_words.js";
import { createModel } from "../../app/components/map_canvas/model.js";
import { createGridTable, gridValueWords } from "../../app/components/review_grid/table.js";
import { epochsOf, pointsOf } from "./maps.js";

const scaleOf = (tier, words = []) => ({ tier, n: 60, right: 50, a: 0, b: 0, words, brief: "by 60 measured answers", note: "" });
const WORDS = scaleOf("words", ["sure", "fairly sure", "doubtful"]);

test("before it is measured nothing is written, neither a number nor a word", () => {
  for (const tier of ["none", "share"]) assert.equal(sureWords(scaleOf(tier), 255), "");
  assert.equal(sureWords(null, 3), "");
  assert.equal(sureWords(WORDS, null), "");
  assert.equal(sureWords(scaleOf("percent"), undefined), "");
});

test("the step is a word, tens, or percent, and never certainty", () => {
  assert.deepEqual([0, 1, 2].map((step) => sureWords(WORDS, step)), ["sure", "fairly sure", "doubtful"]);
  const written = (tier, steps) => steps.map((step) => sureWords(scaleOf(tier), step).replaceAll("\u202f", " "));
  assert.deepEqual(written("tens", [0, 7, 10]), ["under 5 %", "about 70 %", "over 95 %"]);
  assert.deepEqual(written("percent", [0, 7, 87, 100]), ["<1 %", "7 %", "87 %", ">99 %"]);
  assert.equal(sureWords(WORDS, 255), "");
});

test("a tile says counts where it is sorted by them, else how sure the prediction is", () => {
  const table = createGridTable();
  const load = (sort, value) => table.load({
    round: 1, classes: ["a"], sort, total: 1, ids: [7], predicted: [0], confidence: [0.43], scale: WORDS, step: [2],
    value: [value], version: [1], label: [-1],
  }, { leaves: true, waiting: [] });
  for (const sort of ["confidence", "confident", "margin", "entropy", "random"]) {
    load(sort, 0.43);
    assert.equal(gridValueWords(table, 0), "doubtful");
  }
  load("flips", 3);
  assert.equal(gridValueWords(table, 0), "3");
  load("disagreement", 0.25);
  assert.equal(gridValueWords(table, 0), "0.250");
});

test("the map writes it after the last epoch alone, and of labeled images never", () => {
  const model = createModel();
  model.setPoints(pointsOf({ label: [-1, -1, 0], classes: ["a"] }));
  model.setEpochs(epochsOf({ cls: [[0, 0, 0], [0, 0, 0]], conf: [[9, 9, 9], [99, 99, 99]], scale: WORDS, step: [0, 255, 0] }));
  assert.deepEqual([0, 1, 2].map((i) => standingWords(model, i)), ["sure", "", "label"]);
  assert.deepEqual([0, 1, 2].map((i) => aboutImage(model, i)), ["pseudo-label · sure", "pseudo-label", "label"]);
  model.move(0);
  assert.equal(aboutImage(model, 0), "pseudo-label");
});
