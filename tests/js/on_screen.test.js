// How long pictures were on the screen: only what could be seen counts.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { createOnScreen } from "../../app/components/common/on_screen.js";
import { browser, FakeIntersectionObserver } from "./fakes.js";

let now;
let screen;
let told;

beforeEach((t) => {
  browser();
  now = 5000;
  told = 0;
  t.mock.method(performance, "now", () => now);
  screen = createOnScreen(() => (told += 1));
});

function picture(id, share = null) {
  const element = document.createElement("img");
  screen.watch(element, id);
  if (share !== null) FakeIntersectionObserver.shows(element, share);
  return element;
}

const seconds = (...ids) => ids.map(screen.measured());

test("half of a picture has to be visible", () => {
  picture(1, 1);
  picture(2, 0.5);
  picture(3, 0.49);
  picture(4);
  now += 1230;
  assert.deepEqual(seconds(1, 2, 3, 4, 99), [1.23, 1.23, 0, 0, 0]);
  assert.deepEqual(FakeIntersectionObserver.all[0].options, { threshold: 0.5 });
});

test("times add up over the visits of a picture, also where another element shows it", () => {
  const tile = picture(1, 1);
  now += 1000;
  FakeIntersectionObserver.shows(tile, 0.2);
  now += 7000;
  FakeIntersectionObserver.shows(tile, 0.9);
  now += 500;
  screen.unwatch(tile);
  now += 7000;
  picture(1, 1);
  now += 250;
  assert.deepEqual(seconds(1), [1.75]);
});

test("a page in the background shows nothing", () => {
  picture(1, 1);
  now += 1000;
  document.turn("hidden");
  picture(2, 1);
  now += 60000;
  assert.deepEqual(seconds(1, 2), [1, 0]);
  document.turn("visible");
  now += 500;
  assert.deepEqual(seconds(1, 2), [1.5, 0.5]);
});

test("what lies over the others is all that counts", () => {
  picture(1, 1);
  const over = document.createElement("div");
  const large = picture(2, 1);
  over.append(large);
  now += 1000;
  screen.setFront(over);
  now += 3000;
  assert.deepEqual(seconds(1, 2), [1, 4]);
  screen.setFront(document.createElement("div")); // a question
  now += 3000;
  screen.setFront(null);
  now += 100;
  assert.deepEqual(seconds(1, 2), [1.1, 4.1]);
});

test("a glimpse counts as the least that is written, and never as unseen", () => {
  const tile = picture(1, 1);
  now += 1;
  FakeIntersectionObserver.shows(tile, 0);
  assert.deepEqual(seconds(1), [0.01]);
});

test("who listens is told when new pictures come on the screen, once for each", () => {
  const tile = picture(1, 0.1);
  assert.equal(told, 0);
  FakeIntersectionObserver.shows(tile, 1);
  FakeIntersectionObserver.shows(tile, 0);
  FakeIntersectionObserver.shows(tile, 1);
  assert.equal(told, 1);
});

test("forgetting begins anew with what is on the screen", () => {
  picture(1, 1);
  const gone = picture(2, 1);
  now += 1000;
  FakeIntersectionObserver.shows(gone, 0);
  screen.clear();
  now += 200;
  assert.deepEqual(seconds(1, 2), [0.2, 0]);
});

test("an end is an end", () => {
  const tile = picture(1);
  screen.stop();
  FakeIntersectionObserver.shows(tile, 1);
  now += 1000;
  assert.deepEqual(seconds(1), [0]);
  assert.deepEqual(document.listeners.get("visibilitychange"), []);
});
