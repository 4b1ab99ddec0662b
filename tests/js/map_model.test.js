// What the map shows: classes and pseudo-labels at a moment, filters, selections, what the ledger changes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { acceptable, batchDecisions } from "../../app/components/map_canvas/batch.js";
import { insidePolygon, nearest } from "../../app/components/map_canvas/data.js";
import { activeFilters, CALM, passes } from "../../app/components/map_canvas/filters.js";
import { createModel } from "../../app/components/map_canvas/model.js";
import { firstShown } from "../../app/components/map_canvas/thumbs.js";
import { epochsOf, framesOf, pointsOf } from "./maps.js";

// Six images; 1 and 2 are labeled. The pseudo-label of 3 changes and becomes right, that of 4 becomes wrong.
const LABEL = [0, 1, -1, -1, -1, -1];
const TRUTH = [0, 1, 0, 1, -1, 0];
const CLASSES = [
  [-1, -1, 1, 1, 0, -1],
  [-1, -1, 0, 0, 0, -1],
];
const SURE = [
  [0, 0, 100, 200, 255, 0],
  [0, 0, 150, 240, 255, 0],
];

function aMap({ epochs = true } = {}) {
  const model = createModel();
  model.setPoints(pointsOf({ label: LABEL, truth: TRUTH, classes: ["a", "b"] }));
  if (epochs) model.setEpochs(epochsOf({ cls: CLASSES, conf: SURE }));
  return model;
}

const shown = (model) => Array.from(model.hidden.keys()).filter(model.visible);
const passing = (model, filter) => {
  model.filter = { ...CALM, ...filter };
  return Array.from(model.hidden.keys()).filter((i) => passes(model, i));
};

test("an image shows its label, else the pseudo-label of the epoch, else nothing", () => {
  const model = aMap();
  assert.equal(model.epoch, 1); // the last
  assert.deepEqual([...model.shownClass], [0, 1, 0, 0, 0, -1]);
  model.move(0.4);
  assert.deepEqual([...model.shownClass], [0, 1, 1, 1, 0, -1]);
  assert.deepEqual([...model.counts], [[-1, [0, 1]], [0, [1, 1]], [1, [1, 2]]]);
  assert.equal(model.confidence(2).toFixed(3), (100 / 255).toFixed(3));
  assert.equal(model.confidence(4), 0.998, "the last step is not certainty");
});

test("a round of other images is not shown", () => {
  const model = aMap({ epochs: false });
  model.setEpochs(epochsOf({ cls: CLASSES, conf: SURE, mark: 99 }));
  assert.equal(model.epochs, null);
});

test("the source and the round may change at once", () => {
  const model = aMap();
  model.points = null;
  model.setEpochs(null);
  assert.equal(model.epochs, null);
});

test("each filter lets through what it says", () => {
  const model = aMap();
  assert.deepEqual(passing(model, {}), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(passing(model, { pool: "labeled" }), [0, 1]);
  assert.deepEqual(passing(model, { pool: "unlabeled" }), [2, 3, 4, 5]);
  assert.deepEqual(passing(model, { flips: 1 }), [2, 3]);
  assert.deepEqual(passing(model, { below: 0.95 }), [2, 3, 5]);
  model.since = 0;
  assert.deepEqual(passing(model, { joined: 0 }), [2, 3]); // 4 was there before
  assert.deepEqual(passing(model, { joined: 0, below: 0.7 }), [2]);
  assert.deepEqual(passing(model, { differs: true }), []);
});

test("teacher and student differ only where both were recorded", () => {
  const model = aMap();
  model.setFrames(framesOf({ ids: [3, 4], student: [[0, 1], [0, 1]], teacher: [[0, 0], [0, 0]] }));
  assert.deepEqual(passing(model, { differs: true }), [3]);
  assert.deepEqual(model.student(3), { k: 1, p: 0.998 });
  assert.equal(model.teacher(0), null);
});

test("active filters are counted, and hidden classes come on top", () => {
  const model = aMap();
  assert.equal(activeFilters(model.filter), 0);
  model.filter = { ...CALM, flips: 1, pool: "unlabeled" };
  assert.equal(activeFilters(model.filter), 2);
  model.refresh();
  assert.deepEqual(shown(model), [2, 3]);
  assert.equal(model.shown, 2);
  model.filter = { ...CALM };
  model.toggleClass(0);
  model.refresh();
  assert.deepEqual(shown(model), [1, 5]);
  model.isolate(0);
  model.refresh();
  assert.deepEqual(shown(model), [0, 2, 3, 4]);
  model.isolate(0);
  model.refresh();
  assert.deepEqual(shown(model), [0, 1, 2, 3, 4, 5]);
});

test("rings tell what has become right and what wrong since an epoch", () => {
  const model = aMap();
  Object.assign(model, { ring: true, since: 0 });
  model.refresh();
  assert.deepEqual([...model.ringed], [0, 0, 2, 3, 0, 0]);
  assert.deepEqual([model.changed, model.improved, model.worsened], [2, 1, 1]);
});

test("a lasso selects what is visible inside, and can add to what is selected", () => {
  const model = aMap();
  const around = (i) => [[i * 10 - 1, -1], [i * 10 + 1, -1], [i * 10 + 1, 1], [i * 10 - 1, 1]];
  model.enclose([[-5, -5], [25, -5], [25, 5], [-5, 5]], false, "now");
  assert.deepEqual(model.selection, [0, 1, 2]);
  model.enclose(around(4), true, "now");
  assert.deepEqual(model.selection, [0, 1, 2, 4]);
  model.enclose(around(4), true, "now");
  assert.deepEqual(model.selection, [0, 1, 2, 4], "none twice");
  model.off.add(1);
  model.refresh();
  model.enclose([[-5, -5], [25, -5], [25, 5], [-5, 5]], false, "now");
  assert.deepEqual(model.selection, [0, 2]);
  assert.deepEqual([...model.selected], [1, 0, 1, 0, 0, 0]);
});

test("a selection stays on its images when points come anew, in another order and with others", () => {
  const model = aMap();
  model.select([2, 4]);
  model.setPoints(pointsOf({ ids: [9, 5, 3, 1], label: [-1, -1, -1, 0], classes: ["a", "b"], mark: 2 }));
  assert.deepEqual(model.selection.map((i) => model.points.ids[i]), [3, 5]);
  assert.equal(model.epochs, null);
});

test("a polygon may be concave, and the nearest point is found across cells", () => {
  const points = pointsOf({ label: LABEL, classes: ["a", "b"] });
  const concave = [[-5, -5], [15, 5], [35, -5], [35, 20], [-5, 20]];
  assert.deepEqual(insidePolygon(points, concave, () => true), [0, 3]);
  assert.equal(nearest(points, 21, 0, 5, () => true), 2);
  assert.equal(nearest(points, 21, 0, 0.5, () => true), -1);
  assert.equal(nearest(points, 21, 0, 15, (i) => i !== 2), 3);
});

test("the least or most sure of a selection come first, equal ones in their order", () => {
  const model = aMap();
  model.select([0, 4, 3, 2, 5]);
  assert.deepEqual(firstShown(model, "unsure", 3), [5, 2, 3]);
  assert.deepEqual(firstShown(model, "sure", 3), [0, 4, 3]);
  assert.deepEqual(firstShown(model, "own", 2), [0, 4]);
});

test("an acceptance takes pseudo-labels only, and each decision says what it is", () => {
  const model = aMap();
  assert.deepEqual(acceptable(model, [0, 2, 3, 5]), { take: [2, 3], labeled: 1, without: [5] });
  const decisions = batchDecisions(model, [0, 2, 5], () => 0, { round: 4, batch: "B", seconds: (id) => id / 2 });
  assert.deepEqual(decisions.map(({ image_id, action, label, round, seen_seconds }) => [image_id, action, label, round, seen_seconds]), [
    [1, "correct", "a", null, 0.5], [3, "accept", "a", 4, 1.5], [6, "label", "a", null, 3],
  ]);
  assert.equal(new Set(decisions.map((one) => one.uid)).size, 3);
});

test("what the ledger says is in force is shown", () => {
  const model = aMap();
  model.learn([{ image_id: 3, label: "b", version: 7, reviewed: true, mark: null }, { image_id: 99, label: "a", version: 1 }]);
  model.refresh();
  assert.equal(model.shownClass[2], 1);
  assert.deepEqual([model.points.versions[2], model.points.flags[2]], [7, 3]);
});

test("points glide between the epochs of a moving map, and only tracked ones are there", () => {
  const model = aMap();
  model.setFrames(framesOf({ ids: [3, 5], x: [[0, 100], [50, 200]], epochs: [1, 2] }));
  model.plane.kind = "moving";
  model.move(0.5);
  assert.deepEqual([model.plane.positions().x[2], model.plane.positions().x[4]], [25, 150]);
  assert.deepEqual(shown(model), [2, 4]);
  assert.deepEqual(model.plane.trail(2), [[0, 0], [50, 0], [25, 0]]);
  assert.equal(model.plane.nearestTo("now", 26, 0, 5), 2);
});
