// The review session: what a press decides, what waits for its picture, what is taken back, what became of it all.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { createSession } from "../../app/components/review_surface/session.js";
import { aBase, browser, FakeImage, flush, jsonAnswer } from "./fakes.js";

const CLASSES = ["cat", "dog", "7"];
let server;
let base;
let session;
let items;
let painted;
let ordered; // the version of the live model that the queue is ordered by, null where it orders none

function anItem(id, more = {}) {
  return {
    image_id: id, name: `${id}.png`, width: 32, height: 32, version: 0, label: null, source: null, mark: null,
    prediction: "cat", confidence: 0.8, top: [["cat", 0.8]], score: 1, why: "", round: 1, blind: false, beside: [],
    asked: null, ...more,
  };
}

beforeEach((t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server = browser();
  FakeImage.all = [];
  base = aBase();
  painted = { image: 0, all: 0 };
  ordered = null;
  items = [1, 2, 3, 4].map((id) => anItem(id));
  server.routes = (path, body) => {
    if (path === "queue") {
      const left = items.filter((item) => !body.exclude.includes(item.image_id));
      return jsonAnswer({ items: left.slice(0, body.limit), total: items.length, classes: CLASSES, live: ordered });
    }
    if (path === "context") return jsonAnswer({ contexts: [] });
    if (path === "classes") return jsonAnswer({ classes: [...CLASSES, body.name] });
    return jsonAnswer(anItem(1));
  };
  session = createSession(base, () => (painted.all += 1), () => (painted.image += 1));
});

afterEach(() => session.stop());

/** Opens the queue; its pictures have come. */
async function open(t, only = "unreviewed") {
  session.open({ strategy: "s", round: 1, only });
  session.setClasses(CLASSES);
  await settle(t);
  for (const image of FakeImage.all) image.arrive();
  await settle(t);
}

async function settle(t, ms = 150) {
  await flush();
  for (let passed = 0; passed < ms; passed += 50) {
    t.mock.timers.tick(50);
    await flush();
  }
}

const front = () => session.look().card?.item.image_id ?? null;
const decisions = () => server.sent().map(({ image_id, action, label }) => [image_id, action, label]);

test("a class key gives the class and brings the next image at once", async (t) => {
  await open(t);
  assert.equal(front(), 1);
  session.press({ index: 1 });
  assert.equal(front(), 2);
  assert.equal(painted.image > 0, true);
  session.press({ index: 0 }); // as predicted
  session.press({ index: 6 }); // the class named by its key
  await settle(t);
  assert.deepEqual(decisions(), [[1, "correct", "dog"], [2, "accept", "cat"], [3, "correct", "7"]]);
  assert.deepEqual(session.look().strip.map((record) => record.status), ["saved", "saved", "saved"]);
  assert.equal(session.look().decided, 3);
});

test("every answer has its action", async (t) => {
  items = [anItem(1), anItem(2, { prediction: null, confidence: null, round: null }), anItem(3, { label: "dog", source: "human" }), anItem(4)];
  await open(t);
  session.press({ action: "accept" });
  session.press({ label: "dog" });
  session.press({ action: "keep" });
  session.press({ action: "reject" });
  await settle(t);
  assert.deepEqual(decisions(), [[1, "accept", "cat"], [2, "label", "dog"], [3, "label", "dog"], [4, "reject", null]]);
  const sent = server.sent();
  assert.deepEqual(sent.map((one) => [one.round, one.confidence]), [[1, 0.8], [null, null], [1, 0.8], [1, 0.8]]);
});

test("what cannot be answered is said and decides nothing", async (t) => {
  items = [anItem(1, { prediction: null, confidence: null })];
  await open(t);
  session.press({ action: "accept" });
  assert.match(session.look().hint, /no prediction to accept/);
  session.press({ action: "keep" });
  assert.match(session.look().hint, /no label in force/);
  session.press({ index: 15 });
  assert.match(session.look().hint, /No class has the key ⇧6/);
  await settle(t);
  assert.deepEqual(decisions(), []);
  assert.equal(front(), 1);
});

test("a press while the picture is on its way waits for it", async (t) => {
  session.open({ strategy: "s", round: 1, only: "unreviewed" });
  await settle(t);
  session.press({ index: 0 });
  session.press({ index: 1 });
  assert.equal(front(), 1);
  FakeImage.all[0].arrive();
  assert.equal(front(), 2); // the second press waits for the second picture
  FakeImage.all[1].arrive();
  assert.equal(front(), 3);
  await settle(t);
  assert.deepEqual(decisions(), [[1, "accept", "cat"], [2, "correct", "dog"]]);
});

test("a press long before its picture is not counted", async (t) => {
  t.mock.method(performance, "now", () => clock);
  let clock = 1000;
  session.open({ strategy: "s", round: 1, only: "unreviewed" });
  await settle(t);
  session.press({ index: 0 });
  clock += 401;
  FakeImage.all[0].arrive();
  assert.equal(front(), 1);
  assert.match(session.look().hint, /long before/);
});

test("an image that cannot be shown gets no label, but can be skipped", async (t) => {
  session.open({ strategy: "s", round: 1, only: "unreviewed" });
  session.setClasses(CLASSES);
  await settle(t);
  FakeImage.all[0].break();
  for (const image of FakeImage.all.slice(1)) image.arrive();
  const asked = FakeImage.all.length;
  session.press({ index: 0 });
  assert.match(session.look().hint, /could not be shown/);
  session.press({ action: "skip" });
  assert.equal(front(), 2);
  assert.equal(FakeImage.all.length, asked, "it is not asked for again while it is in front");
  await settle(t);
  assert.deepEqual(decisions(), [[1, "skip", null]]);
  session.move(-1);
  await settle(t);
  const back = FakeImage.all.length;
  assert.equal(back > asked, true, "it is asked for again when it comes back");
  FakeImage.all.at(-1).break();
  await settle(t, 5000);
  session.deck.pictureState(session.deck.current());
  assert.equal(FakeImage.all.length, back + 1, "and after a while");
});

test("what was never sent is taken back in the browser, the rest by the server, the newest first", async (t) => {
  await open(t);
  session.press({ index: 0 });
  await settle(t);
  session.press({ index: 1 });
  session.undo();
  assert.equal(front(), 2);
  assert.match(session.look().hint, /Took back “dog”/);
  session.undo();
  assert.equal(front(), 1);
  await settle(t);
  assert.deepEqual(server.requests.map(({ path }) => path).filter((path) => ["decisions", "undo"].includes(path)), ["decisions", "undo"]);
  assert.equal(server.recorded.size, 0);
  assert.equal(session.look().decided, 0);
});

test("a decision made on an older state is told of and can be looked at again", async (t) => {
  await open(t);
  server.stateOf(1).version = 9;
  server.stateOf(1).label = "dog";
  session.press({ index: 0 });
  await settle(t);
  const [notice] = session.look().notices;
  assert.match(notice.text, /1\.png was changed elsewhere after you saw it: its label is now “dog”/);
  assert.equal(session.look().strip[0].status, "conflict");
  session.dismiss(notice);
  assert.deepEqual(session.look().notices, []);
  session.reopen(notice.item);
  assert.equal(front(), 1);
  assert.equal(session.look().card.item.version, 9); // the next answer stands on the state in force
});

test("the strip outlives a reload of the page", async (t) => {
  await open(t);
  session.press({ index: 0 });
  await settle(t);
  session.stop();
  session = createSession(base, () => undefined, () => undefined);
  assert.deepEqual(session.look().strip.map((record) => [record.item.image_id, record.label, record.status]), [[1, "cat", "saved"]]);
});

test("in a queue that images leave, what is saved no longer counts as left", async (t) => {
  await open(t);
  assert.equal(session.look().deck.left, 4);
  session.press({ index: 0 });
  assert.equal(session.look().deck.left, 3);
});

test("after the last image there is none in front, and a press says so", async (t) => {
  items = [anItem(1)];
  await open(t);
  session.press({ index: 0 });
  await settle(t);
  assert.equal(front(), null);
  assert.equal(session.look().deck.dry, true);
  session.press({ action: "skip" });
  assert.match(session.look().hint, /no image in front/);
});

test("a new class has a key at once", async (t) => {
  await open(t);
  await session.addClass("bird");
  session.press({ index: 2 });
  await settle(t);
  assert.deepEqual(decisions(), [[1, "correct", "bird"]]);
});

test("a live model that was fitted anew brings other images, but for the one in front and the next three", async (t) => {
  ordered = server.live = "first";
  items = [1, 2, 3, 4, 5, 6, 7].map((id) => anItem(id));
  await open(t);
  session.press({ index: 0 });
  await settle(t);
  assert.deepEqual(session.deck.upcoming(9), [2, 3, 4, 5, 6, 7], "nothing changed, so nothing moves");
  ordered = server.live = "second";
  items = [7, 6, 5, 4, 3, 2, 1].map((id) => anItem(id, { prediction: "dog" }));
  session.press({ index: 0 });
  await settle(t);
  assert.deepEqual(session.deck.upcoming(9), [3, 4, 5, 6, 7]);
  assert.deepEqual([3, 4, 5, 6, 7].map((id) => session.deck.cardOf(id).item.prediction), ["cat", "cat", "cat", "cat", "dog"]);
  assert.equal(server.requests.filter(({ path }) => path === "queue").length > 1, true);
});

/** How confidences are written after so many measured answers. */
const scaleOf = (n) => ({ tier: "tens", n, right: n, a: 0, b: 0, words: [], brief: `by ${n} measured answers`, note: "" });

test("after a measured answer every image that lies here is written by all answers there are", async (t) => {
  let n = 2;
  let said = "cat";
  const written = (id, more) => anItem(id, { prediction: said, scale: scaleOf(n), step: n, top: [[said, n / 100]], ...more });
  items = [anItem(1, { blind: true, prediction: null, top: [], round: null, scale: null, step: null }), ...[2, 3, 4].map((id) => written(id))];
  const queued = server.routes;
  server.routes = (path, body) => (path === "figures" ? jsonAnswer({ items: body.ids.map((id) => written(id)) }) : queued(path, body));
  await open(t);
  assert.equal(session.deck.cardOf(4).item.scale.n, 2);
  n = 3;
  session.press({ index: 0 }); // of the image that measures
  await settle(t);
  assert.deepEqual([2, 3, 4].map((id) => session.deck.cardOf(id).item.scale.brief), Array(3).fill("by 3 measured answers"));
  assert.deepEqual([2, 3, 4].map((id) => session.deck.cardOf(id).item.step), [3, 3, 3]);
  const asked = server.requests.filter(({ path }) => path === "figures").map(({ body }) => body);
  assert.deepEqual(asked, [{ ids: [2, 3, 4], round: 1 }]);
  session.press({ index: 0 }); // no answer that measures
  await settle(t);
  assert.equal(server.requests.filter(({ path }) => path === "figures").length, 1);
});

test("a model fitted anew changes how the image in front is written, but never what a key would accept", async (t) => {
  let n = 2;
  let said = "cat";
  ordered = server.live = "first";
  const written = (id) => anItem(id, { prediction: said, scale: scaleOf(n), step: n });
  items = [1, 2, 3].map((id) => written(id));
  const queued = server.routes;
  server.routes = (path, body) => (path === "figures" ? jsonAnswer({ items: body.ids.map((id) => written(id)) }) : queued(path, body));
  await open(t);
  [n, said, ordered, server.live] = [9, "dog", "second", "second"];
  items = [1, 2, 3].map((id) => written(id));
  session.press({ index: 0 });
  await settle(t);
  const cards = [2, 3].map((id) => session.deck.cardOf(id).item);
  assert.deepEqual(cards.map((item) => [item.prediction, item.step, item.scale.n]), [["cat", 2, 9], ["dog", 9, 9]]);
});

test("a queue that no live model orders stays as it is", async (t) => {
  server.live = "first";
  await open(t);
  const asked = () => server.requests.filter(({ path }) => path === "queue").length;
  const before = asked();
  session.press({ index: 0 });
  server.live = "second";
  session.press({ index: 0 });
  await settle(t);
  assert.deepEqual([session.deck.upcoming(9), asked() - before], [[3, 4], 0]);
});

test("an audit's answer says who asked, and an image that it asks again comes again", async (t) => {
  const blind = { prediction: null, top: [], confidence: null, round: null, blind: true, asked: "3 all" };
  items = Array.from({ length: 40 }, (_, at) => anItem(at + 1, blind));
  await open(t, "audit:3");
  session.press({ action: "accept" });
  assert.equal(session.look().hint, "The audit shows no label: choose the class of this image.");
  for (let answers = 0; answers < 10; answers += 1) session.press({ index: 0 });
  await settle(t);
  assert.deepEqual(server.sent().slice(0, 1).map(({ image_id, action, blind: unseen, asked }) => [image_id, action, unseen, asked]),
    [[1, "label", true, "3 all"]]);
  items = [anItem(1, { ...blind, version: 5, asked: "3" }), ...items.slice(10)];
  session.press({ index: 0 }); // now fewer than 30 are ahead
  await settle(t);
  assert.equal(session.deck.state().length, 41);
  session.move(29);
  for (const image of FakeImage.all) image.arrive();
  assert.equal(front(), 1);
  assert.equal(session.look().card.item.label, null);
  session.press({ index: 1 });
  await settle(t);
  const [last] = server.sent().slice(-1);
  assert.deepEqual([last.image_id, last.base_version, last.asked], [1, 5, "3"]);
});
