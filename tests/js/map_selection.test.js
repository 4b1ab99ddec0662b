// The selection on the map: one answer for all of it, after one question, taken back as one.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { createModel } from "../../app/components/map_canvas/model.js";
import { buildSelection } from "../../app/components/map_canvas/selection.js";
import { aBase, aKey, browser, FakeIntersectionObserver, flush, jsonAnswer } from "./fakes.js";
import { epochsOf, pointsOf } from "./maps.js";

let server;
let model;
let selection;
let told;

beforeEach((t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server = browser();
  told = [];
  model = createModel();
  model.setPoints(pointsOf({ label: [0, -1, -1, -1, -1], classes: ["a", "b"] }));
  model.setEpochs(epochsOf({ cls: [[-1, 0, 0, 0, -1], [-1, 1, 1, 0, -1]], conf: [[0, 9, 9, 9, 0], [0, 200, 100, 150, 0]] }));
  server.routes = (path, body) => {
    if (path === "classes") return jsonAnswer({ classes: ["a", "b", body.name] });
    if (path === "selection") return jsonAnswer({ count: body.ids.length });
    return jsonAnswer({ ids: [], distances: [] });
  };
  const actions = {
    source: () => "pixels", point() {}, saved: () => told.push("saved"), clear: () => select([]), focusSelection() {},
    changed() {
      model.refresh();
      selection.paint();
    },
    select(indices) {
      model.select(indices);
      actions.changed();
    },
    goto: (page, payload) => told.push([page, payload]),
  };
  selection = buildSelection(model, aBase(), actions);
  selection.paint();
});

function select(indices) {
  model.select(indices);
  model.refresh();
  selection.paint();
}

const part = (id) => selection.node.byTestId(id);
const words = (id) => part(id).textContent;
const decisions = () => server.sent().map(({ image_id, action, label }) => [image_id, action, label]);

test("accepting takes the pseudo-labels and leaves the rest alone, after one question", async () => {
  select([0, 1, 2, 3, 4]);
  assert.equal(words("map-selected-count"), "5 selected");
  assert.equal(words("map-accept-all"), "Accept 3a");
  part("map-accept-all").click();
  assert.match(words("map-confirm"), /Accept the pseudo-labels of 3 images at epoch 2: 2 as “b” and 1 as “a”\? Left alone: 1 with a label and 1 without a pseudo-label\./);
  assert.deepEqual(decisions(), []);
  part("map-confirm-yes").click();
  await flush();
  assert.deepEqual(decisions(), [[2, "accept", "b"], [3, "accept", "b"], [4, "accept", "a"]]);
  assert.equal(new Set(server.sent().map((one) => one.batch)).size, 1);
  assert.match(words("map-result"), /^Saved: 3 accepted \(2 as “b” and 1 as “a”\)\./);
  assert.deepEqual(model.selection, [4], "what had no pseudo-label stays selected");
  assert.deepEqual([...model.points.label], [0, 1, 1, 0, -1]);
});

test("a digit labels all of them; those left out are not", async () => {
  select([1, 2, 3]);
  part("map-thumbs").children[0].click(); // the least sure: image 3
  assert.equal(words("map-selected-count"), "2 of 3 selected");
  selection.onKey(aKey("2"));
  assert.match(words("map-confirm"), /Label 2 images as “b”\?/);
  selection.onKey(aKey("Enter"));
  await flush();
  assert.deepEqual(decisions().map(([id]) => id), [2, 4]);
  assert.deepEqual(model.selection.map((i) => model.points.ids[i]), [3]);
});

test("one image is labeled without a question", async () => {
  select([1]);
  selection.onKey(aKey("1"));
  await flush();
  assert.deepEqual(decisions(), [[2, "correct", "a"]]);
});

test("Escape takes the question back, not the selection", () => {
  select([1, 2]);
  selection.onKey(aKey("a"));
  assert.equal(part("map-confirm").hidden, false);
  selection.onKey(aKey("Escape"));
  assert.equal(part("map-confirm").hidden, true);
  assert.deepEqual(model.selection, [1, 2]);
  assert.deepEqual(decisions(), []);
});

test("a question falls when other images are selected, and an acceptance when the epoch changes", () => {
  select([1, 2]);
  selection.onKey(aKey("a"));
  select([2, 3]);
  assert.equal(part("map-confirm").hidden, true);
  selection.onKey(aKey("a"));
  assert.equal(part("map-confirm").hidden, false);
  model.move(0);
  selection.paint();
  assert.equal(part("map-confirm").hidden, true);
});

test("what is hidden is not answered for", async () => {
  model.off.add(1); // class “b”
  select([1, 2, 3]);
  assert.match(words("map-left-out"), /2 not shown now, so left alone/);
  selection.onKey(aKey("1"));
  await flush();
  assert.deepEqual(decisions(), [[4, "accept", "a"]]);
});

test("a batch is taken back as one, and its images are selected again", async () => {
  select([1, 2]);
  selection.onKey(aKey("1"));
  selection.onKey(aKey("Enter"));
  await flush();
  assert.deepEqual(model.selection, []);
  selection.onKey(aKey("z", { ctrlKey: true }));
  await flush();
  assert.equal(server.recorded.size, 0);
  assert.match(words("map-result"), /Took back 2 labels\./);
  assert.deepEqual(model.selection, [1, 2]);
  assert.deepEqual([...model.points.label], [0, -1, -1, -1, -1]);
});

test("a batch that did not arrive can be sent again and records nothing twice", async () => {
  select([1, 2]);
  server.faults = ["lost"];
  selection.onKey(aKey("1"));
  selection.onKey(aKey("Enter"));
  await flush();
  assert.match(words("map-result"), /Not saved: no connection to Starling\./);
  part("map-batch-retry").click();
  await flush();
  assert.equal(server.sent().length, 4);
  assert.equal(server.recorded.size, 2);
  assert.match(words("map-result"), /^Saved: 2 labeled as “a”\./);
});

test("a batch of very many travels in parts, and is one batch all the same", async () => {
  const many = 20001;
  model.setPoints(pointsOf({ label: new Array(many).fill(-1), classes: ["a", "b"], mark: 2 }));
  select(Array.from({ length: many }, (_, i) => i));
  selection.onKey(aKey("1"));
  selection.onKey(aKey("Enter"));
  await flush();
  assert.deepEqual(server.requests.map(({ body }) => body.decisions?.length).filter(Boolean), [20000, 1]);
  assert.equal(server.recorded.size, many);
  assert.equal(new Set(server.sent().map((one) => one.batch)).size, 1);
});

test("a proposed class is made only with its first labels", async () => {
  select([1, 2]);
  selection.propose("bird");
  assert.match(words("map-confirm"), /the new class “bird”/);
  await flush();
  assert.deepEqual(server.requests.map(({ path }) => path), []);
  part("map-confirm-yes").click();
  await flush();
  assert.deepEqual(server.requests.map(({ path }) => path), ["classes", "decisions"]);
  assert.deepEqual(decisions(), [[2, "correct", "bird"], [3, "correct", "bird"]]);
});

test("a selection is taken along to the review, without what is left out", async () => {
  select([1, 2, 3]);
  part("map-thumbs").children[0].click();
  part("map-to-review").click();
  await flush();
  assert.deepEqual(server.requests.at(-1), { path: "selection", body: { ids: [2, 4] } });
  assert.deepEqual(told, [["review", { count: 2 }]]);
});

/** The picture of an image among the small ones has come, and some of it is on the screen. */
function show(id, share) {
  const button = part("map-thumbs").children.find((one) => Number(one.dataset.id) === id);
  const picture = button.children.find((one) => one.tag === "img");
  picture.fire("load");
  FakeIntersectionObserver.shows(picture, share);
}

const seconds = () => Object.fromEntries(server.sent().map((one) => [one.image_id, one.seen_seconds]));

test("a batch says of each image how long its tile was on the screen, and 0 for one that was not", async (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  select([1, 2, 3]);
  show(2, 1);
  show(3, 0.2);
  now += 2340;
  selection.onKey(aKey("a"));
  selection.onKey(aKey("Enter"));
  await flush();
  assert.deepEqual(seconds(), { 2: 2.34, 3: 0, 4: 0 });
});

test("what was on the screen in another selection counts only while the selection grows", async (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  select([1, 2]);
  show(2, 1);
  now += 1000;
  show(2, 0);
  select([1, 2, 3]);
  selection.onKey(aKey("a"));
  selection.onKey(aKey("Enter"));
  await flush();
  assert.deepEqual(seconds(), { 2: 1, 3: 0, 4: 0 });
  selection.onKey(aKey("Backspace"));
  await flush();
  server.requests.length = 0;
  select([3]);
  select([1, 2]);
  selection.onKey(aKey("a"));
  selection.onKey(aKey("Enter"));
  await flush();
  assert.deepEqual(seconds(), { 2: 0, 3: 0 });
});

test("one image alone is measured by its large picture", async (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  select([1]);
  part("map-near-picture").fire("load");
  FakeIntersectionObserver.shows(part("map-near-picture"), 1);
  now += 800;
  selection.onKey(aKey("1"));
  await flush();
  assert.deepEqual(seconds(), { 2: 0.8 });
});
