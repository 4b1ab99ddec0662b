// Like images in the grid: marked by their group, labeled by one key as one batch, taken back, kept on one page.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { createGridSession } from "../../app/components/review_grid/session.js";
import { ROW_FLYING } from "../../app/components/review_grid/table.js";
import { aBase, browser, FakeIntersectionObserver, flush, jsonAnswer } from "./fakes.js";

const QUERY = { round: null, only: "unreviewed", sort: "likeness" };
let server;
let session;
let answer;
let saved;

// Images 1–3 are alike, 4 and 5 are, 6 and 7 have no features; nothing is predicted.
function alike(more = {}) {
  const n = 7;
  return {
    round: null, classes: ["cat", "dog"], sort: "likeness", total: n, ids: [1, 2, 3, 4, 5, 6, 7], predicted: new Array(n).fill(-1),
    confidence: new Array(n).fill(null), value: new Array(n).fill(null), version: new Array(n).fill(0), label: new Array(n).fill(-1),
    group: [0, 0, 0, 1, 1, -1, -1], ...more,
  };
}

beforeEach(async () => {
  server = browser();
  answer = alike();
  saved = 0;
  server.routes = (path, body) => jsonAnswer(path === "classes" ? { classes: [...answer.classes, body.name] } : answer);
  session = createGridSession(aBase(), () => undefined, () => (saved += 1));
  session.setClasses(["cat", "dog"]);
  session.open(QUERY);
  await flush();
});

afterEach(() => session.stop());

const marked = () => [...session.table.marks.keys()];
const listed = () => [...session.table.list].map((row) => session.table.ids[row]);
const sent = () => server.sent().map((one) => [one.image_id, one.action, one.label]);

test("one press marks all alike, another one unmarks them, the odd one out is let off", () => {
  session.markAlike(1);
  assert.deepEqual(marked(), [1, 2, 3]);
  assert.deepEqual([session.look().focus, session.look().ring], [0, true]);
  session.toggle(2);
  session.markAlike(0); // one is not marked: all are
  assert.deepEqual(marked(), [1, 2, 3]);
  session.markAlike(0);
  assert.deepEqual(marked(), []);
});

test("a class's key labels the marked ones as one batch, which one undo takes back with its marks", async () => {
  session.markAlike(0);
  session.toggle(1);
  session.answerKey(1);
  await flush();
  assert.deepEqual(sent(), [[1, "label", "dog"], [3, "label", "dog"]]);
  assert.equal(new Set(server.sent().map((one) => one.batch)).size, 1);
  assert.deepEqual(listed(), [2, 4, 5, 6, 7]);
  assert.equal(session.look().outcome.text, "Saved: 2 labeled.");
  session.undo();
  await flush();
  assert.equal(server.recorded.size, 0);
  assert.deepEqual(listed(), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(marked(), [1, 3]);
  session.answerKey(0); // the other class
  await flush();
  assert.deepEqual(sent().slice(2), [[1, "label", "cat"], [3, "label", "cat"]]);
});

test("the next group can be marked while one is being saved, and what has a label is left alone", async () => {
  session.markAlike(0);
  session.answerKey(0);
  assert.ok(session.table.is(0, ROW_FLYING));
  session.markAlike(session.look().focus);
  assert.deepEqual(marked().filter((id) => id > 3), [4, 5]);
  await flush();
  session.escape();
  answer = alike({ label: [0, -1, -1, 0, 0, -1, -1] });
  session.open({ ...QUERY, only: "all" });
  await flush();
  session.markAlike(0);
  assert.deepEqual(marked(), [2, 3]);
  session.markAlike(3);
  assert.equal(session.look().outcome.text, "All of these have a label.");
});

test("images without features are not taken for alike", () => {
  session.markAlike(5);
  assert.deepEqual(marked(), []);
  assert.match(session.look().outcome.text, /may be unlike/);
});

test("a key without a class says what to do, and a class is made", async () => {
  session.setClasses([]);
  session.markAlike(0);
  session.answerKey(0);
  assert.match(session.look().outcome.text, /no class yet/);
  await session.addClass("bird");
  assert.deepEqual(session.look().classes, ["cat", "dog", "bird"]);
  assert.equal(saved, 1);
});

test("groups are gone through by steps, forth and back", () => {
  session.stepGroup(1);
  assert.equal(session.look().focus, 3);
  session.focusAt(4);
  session.stepGroup(-1);
  assert.equal(session.look().focus, 3);
  session.stepGroup(-1);
  assert.equal(session.look().focus, 0);
  session.stepGroup(-1);
  assert.equal(session.look().focus, 0);
});

test("a page ends where a group ends", () => {
  session.setPageSize(2);
  assert.deepEqual([...session.table.starts], [0, 3, 5]);
  session.stepGroup(1);
  assert.deepEqual([session.table.page, session.look().focus], [1, 3]);
  session.setPageSize(1);
  assert.deepEqual([session.table.page, ...session.table.starts], [1, 0, 3, 5, 6]);
});

test("the first predictions of a round move nothing: order, place and marks stay", async () => {
  session.markAlike(3);
  answer = alike({ round: 1, predicted: [0, 0, 0, 1, 0, 1, 1], confidence: new Array(7).fill(0.5), value: new Array(7).fill(0.5) });
  const { turn } = session.look();
  session.open({ ...QUERY, round: 1 });
  await flush();
  assert.equal(session.table.round, 1);
  assert.deepEqual([marked(), session.look().focus, session.look().turn], [[4, 5], 3, turn]);
  session.answerKey(1); // as predicted, and not
  await flush();
  assert.deepEqual(sent(), [[4, "accept", "dog"], [5, "correct", "dog"]]);
});

test("grouped by class, marks wait for their answers, and there is no group to mark", async () => {
  answer = alike({ round: 1, sort: "confidence", group: null, predicted: [0, 0, 0, 0, 1, 1, 1], confidence: new Array(7).fill(0.5) });
  session.open({ ...QUERY, round: 1, sort: "confidence" });
  await flush();
  session.markAlike(0);
  assert.deepEqual(marked(), []);
  assert.match(session.look().outcome.text, /like ones together/);
  session.toggle(0);
  session.answerKey(1);
  await flush();
  assert.deepEqual(sent(), []);
  assert.deepEqual(session.table.marks.get(1), { action: "correct", label: "dog" });
});

test("marks of like ones do not become marks of wrong ones in another order", async () => {
  session.markAlike(0);
  answer = alike({ round: 1, sort: "confidence", group: null, predicted: new Array(7).fill(0), confidence: new Array(7).fill(0.5) });
  session.sortBy("confidence");
  await flush();
  assert.deepEqual(marked(), []);
});

// Images 1–7, all predicted as “cat”, with the tiles that a wall would show.
async function predicted() {
  answer = alike({ round: 1, sort: "confidence", group: null, predicted: new Array(7).fill(0), confidence: new Array(7).fill(0.5) });
  session.open({ ...QUERY, round: 1, sort: "confidence" });
  await flush();
  return new Map(answer.ids.map((id) => [id, document.createElement("img")]));
}

const secondsSent = () => Object.fromEntries(server.sent().map((one) => [one.image_id, one.seen_seconds]));

test("an acceptance says of each image how long its tile was on the screen, and 0 for those beyond the fold", async (t) => {
  const tiles = await predicted();
  let now = 0;
  t.mock.method(performance, "now", () => now);
  for (const [id, tile] of tiles) session.screen.watch(tile, id);
  for (const id of [1, 2, 3]) FakeIntersectionObserver.shows(tiles.get(id), 1);
  FakeIntersectionObserver.shows(tiles.get(4), 0.4);
  now += 1500;
  FakeIntersectionObserver.shows(tiles.get(1), 0.3); // scrolled away
  FakeIntersectionObserver.shows(tiles.get(4), 0.5);
  now += 500;
  assert.equal(session.plan().unseen, 3);
  session.accept();
  await flush();
  assert.deepEqual(secondsSent(), { 1: 1.5, 2: 2, 3: 2, 4: 0.5, 5: 0, 6: 0, 7: 0 });
  assert.ok(server.sent().every((one) => one.seconds === null && one.batch !== null));
});

test("all in the list: what is on another page was on no screen", async (t) => {
  t.mock.method(performance, "now", () => 5000);
  const tiles = await predicted();
  session.setPageSize(2);
  for (const id of [1, 2]) {
    session.screen.watch(tiles.get(id), id);
    FakeIntersectionObserver.shows(tiles.get(id), 1);
  }
  session.selectAll();
  assert.deepEqual([session.plan().take.length, session.plan().unseen], [7, 5]);
  session.accept();
  await flush();
  const seconds = secondsSent();
  assert.deepEqual(Object.keys(seconds).filter((id) => seconds[id] > 0), ["1", "2"]);
});

test("other predictions have to be looked at anew", async () => {
  const tiles = await predicted();
  session.screen.watch(tiles.get(1), 1);
  FakeIntersectionObserver.shows(tiles.get(1), 1);
  assert.equal(session.plan().unseen, 6);
  FakeIntersectionObserver.shows(tiles.get(1), 0);
  session.load();
  await flush();
  assert.equal(session.plan().unseen, 7);
});

test("answers to marked images say it, too", async () => {
  const tiles = await predicted();
  session.screen.watch(tiles.get(2), 2);
  FakeIntersectionObserver.shows(tiles.get(2), 1);
  session.toggle(1);
  session.answerKey(1);
  session.toggle(2);
  session.answerKey(1);
  session.saveMarked();
  await flush();
  assert.deepEqual(server.sent().map((one) => [one.image_id, one.action, one.seen_seconds > 0]), [[2, "correct", true], [3, "correct", false]]);
});
