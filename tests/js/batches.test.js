// The grid's batches: one after another, none lost, none recorded twice, the newest taken back first.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { gridDecisions, gridJob, gridSenderFor } from "../../app/components/review_grid/sender.js";
import { aBase, browser, flush, pass, signAs } from "./fakes.js";

let server;
let base;

beforeEach(() => {
  server = browser();
  base = aBase();
});

function aBatch(batch, ids, more = {}) {
  const answers = ids.map((id) => ({ id, version: 0, action: "accept", label: id % 2 ? "odd" : "even", confidence: 0.75, seconds: 1, ...more }));
  return gridJob(answers, { round: 3, batch });
}

test("columns give back the answers they were made of", () => {
  const job = gridJob([
    { id: 1, version: 5, action: "accept", label: "a", confidence: 0.123456789, seconds: 2.5 },
    { id: 2, version: 6, action: "reject", label: null, confidence: NaN, seconds: 0 },
    { id: 3, version: 7, action: "label", label: "b", confidence: null, seconds: 0.01 },
    { id: 4, version: 8, action: "correct", label: "a", confidence: 1, seconds: 7 },
  ], { round: 2, batch: "B" });
  const common = { batch: "B", seconds: null, actor: "local" };
  assert.deepEqual(gridDecisions(job, 0, 4), [
    { uid: "B-1", image_id: 1, base_version: 5, action: "accept", label: "a", confidence: 0.123457, round: 2, ...common, seen_seconds: 2.5 },
    { uid: "B-2", image_id: 2, base_version: 6, action: "reject", label: null, confidence: null, round: 2, ...common, seen_seconds: 0 },
    { uid: "B-3", image_id: 3, base_version: 7, action: "label", label: "b", confidence: null, round: null, ...common, seen_seconds: 0.01 },
    { uid: "B-4", image_id: 4, base_version: 8, action: "correct", label: "a", confidence: 1, round: 2, ...common, seen_seconds: 7 },
  ]);
  assert.deepEqual(gridDecisions(job, 2, 3).map((one) => one.uid), ["B-3"]);
});

test("a batch is sent at once, kept until it is acknowledged, and can then be taken back", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sender = gridSenderFor(base);
  sender.send(aBatch("one", [1, 2, 3]));
  assert.deepEqual(localStorage.keys(), [`starling.batch|${base}|one`]);
  assert.equal(sender.status().pending, 3);
  await flush();
  assert.deepEqual(localStorage.keys(), []);
  assert.deepEqual([...server.recorded.keys()], ["one-1", "one-2", "one-3"]);
  assert.equal(sessionStorage.getItem(`starling.batches|${base}`), JSON.stringify([{ batch: "one", n: 3 }]));
  assert.equal(sender.undo(), true);
  await flush();
  assert.deepEqual(server.requests.at(-1).body.target, "one");
  assert.equal(server.recorded.size, 0);
  assert.equal(sender.canUndo(), false);
});

test("batches travel one after another in their order, through an outage", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.faults = ["down", "lost"];
  const sender = gridSenderFor(base);
  sender.send(aBatch("one", [1, 2]));
  sender.send(aBatch("two", [3]));
  await flush();
  assert.deepEqual({ ...sender.status(), flying: false }, {
    flying: false, problem: "no connection to Starling", kept: true, jobs: 2, undoing: false, pending: 3,
  });
  await pass(t, 800);
  await pass(t, 1600);
  assert.deepEqual(server.sent().map((one) => one.uid), ["one-1", "one-2", "one-1", "one-2", "one-1", "one-2", "two-3"]);
  assert.deepEqual([...server.recorded.keys()], ["one-1", "one-2", "two-3"]);
});

test("what an earlier version left in the browser is sent, in its order, and doubles nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const left = { kind: "decide", batch: "old", round: 1, labels: ["x"], ids: [8, 9], versions: [0, 0], actions: "03", given: [0, 0],
    confidence: [0.5, null], order: 2 };
  const undo = { kind: "undo", batch: "undo-older", uid: "u", target: "older", order: 3 };
  localStorage.setItem(`starling.batch|${base}|old`, JSON.stringify(left));
  localStorage.setItem(`starling.batch|${base}|undo-older`, JSON.stringify(undo));
  server.faults = [null, 409];
  const sender = gridSenderFor(base);
  const told = [];
  sender.subscribe((event) => told.push(event.type));
  await flush();
  assert.deepEqual([...server.recorded.values()].map(({ decision }) => [decision.uid, decision.action, decision.label]),
    [["old-8", "accept", "x"], ["old-9", "label", "x"]]);
  assert.deepEqual(server.sent().map((one) => one.seen_seconds), [null, null], "what was not measured is not made up");
  assert.ok(told.includes("refused"), "an undo of what is gone is let go");
  const again = await import(`../../app/components/review_grid/sender.js?${base}`);
  localStorage.setItem(`starling.batch|${base}|old`, JSON.stringify(left)); // as if the tab had closed before the answer
  again.gridSenderFor(base);
  await flush();
  assert.equal(server.recorded.size, 2);
  assert.deepEqual(localStorage.keys(), []);
});

test("a batch that waits behind another is dropped without a word to the server", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sender = gridSenderFor(base);
  const dropped = [];
  sender.subscribe((event) => event.type === "dropped" && dropped.push(event.job.batch));
  sender.send(aBatch("one", [1]));
  sender.send(aBatch("two", [2])); // “one” is flying
  assert.equal(sender.undo(), true);
  assert.deepEqual(dropped, ["two"]);
  assert.equal(localStorage.getItem(`starling.batch|${base}|two`), null);
  assert.equal(sender.undo(), true); // now “one”, behind itself
  await flush();
  assert.deepEqual(server.requests.map(({ path, body }) => body.target ?? path), ["decisions", "one"]);
  assert.equal(server.recorded.size, 0);
});

test("pressing undo twice takes back two batches, the newest first", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sender = gridSenderFor(base);
  sender.send(aBatch("one", [1]));
  sender.send(aBatch("two", [2]));
  await flush();
  sender.undo();
  sender.undo();
  assert.equal(sender.undo(), false);
  await flush();
  assert.deepEqual(server.requests.map(({ body }) => body.target).filter(Boolean), ["two", "one"]);
  server.faults = ["down"];
  sender.send(aBatch("three", [3]));
  await flush();
  sender.undo(); // may have arrived, so an undo travels behind it
  assert.equal(sender.undo(), false);
  await flush();
});

test("a batch refused as too large travels in parts, all of it once", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sender = gridSenderFor(base);
  const acks = [];
  sender.subscribe((event) => event.type === "acks" && acks.push(event.acks.length));
  server.faults = [413];
  sender.send(aBatch("big", Array.from({ length: 45000 }, (_, i) => i + 1)));
  await flush();
  assert.deepEqual(server.requests.map(({ body }) => body.decisions.length), [45000, 20000, 20000, 5000]);
  assert.deepEqual(acks, [45000]);
  assert.equal(server.recorded.size, 45000);
});

test("a batch at fault is let go with words, and the next one goes on", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.faults = [422];
  const sender = gridSenderFor(base);
  const refused = [];
  sender.subscribe((event) => event.type === "refused" && refused.push([event.job.batch, event.message]));
  sender.send(aBatch("bad", [1]));
  sender.send(aBatch("good", [2]));
  await flush();
  assert.deepEqual(refused, [["bad", "refused with 422"]]);
  assert.deepEqual([...server.recorded.keys()], ["good-2"]);
});

test("the images of all batches on their way are known", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.fetch = () => new Promise(() => undefined);
  const sender = gridSenderFor(base);
  sender.send(aBatch("one", [1, 2]));
  sender.send(aBatch("two", [3]));
  assert.deepEqual(sender.pendingImages(), [1, 2, 3]);
});

test("a batch that waits keeps the name that was set when it was answered, and so does its undo", async () => {
  signAs("Ann");
  const content = aBatch("one", [1, 2]);
  signAs("Ben");
  const sender = gridSenderFor(base);
  sender.send(content);
  await flush();
  sender.undo();
  signAs("Cleo");
  await flush();
  assert.deepEqual(server.requests[0].body.decisions.map((one) => one.actor), ["Ann", "Ann"]);
  assert.equal(server.requests.at(-1).path, "undo");
  assert.equal(server.requests.at(-1).body.actor, "Ben");
});
