// The outbox: no decision is lost, none is recorded twice, whatever the connection and the tab do.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { outboxFor } from "../../app/components/common/outbox.js";
import { aBase, aDecision, browser, pass, signAs } from "./fakes.js";

const WAITS = [800, 1600, 3200, 6400, 12800, 15000, 15000]; // ms before each new try, as the person waits for it
let server;
let base;

beforeEach(() => {
  server = browser();
  base = aBase();
});

/** As after a reload: another module, the same storage. */
async function reloaded() {
  const again = await import(`../../app/components/common/outbox.js?${base}`);
  return again.outboxFor(base);
}

test("decisions arrive and leave the browser once they are acknowledged", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const outbox = outboxFor(base);
  for (const id of [1, 2, 3]) outbox.decide(aDecision(id));
  assert.equal(outbox.status().pending, 3);
  assert.equal(localStorage.keys().filter((key) => key.startsWith(`starling.outbox|${base}|`)).length, 3);
  await pass(t, 200);
  await pass(t, 0);
  assert.deepEqual([...server.recorded.keys()], ["uid-1", "uid-2", "uid-3"]);
  assert.deepEqual(outbox.status(), { flying: false, problem: "", kept: true, pending: 0, today: 3 });
  assert.deepEqual(localStorage.keys(), [`starling.today|${base}`]);
});

test("an entry is kept under the key and in the form that earlier versions read", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  outboxFor(base).decide(aDecision(7, { label: "dog", confidence: 0.5, round: 2 }));
  const entry = JSON.parse(localStorage.getItem(`starling.outbox|${base}|uid-7`));
  assert.equal(typeof entry.order, "number");
  assert.deepEqual({ ...entry, order: 0 }, {
    ...aDecision(7, { label: "dog", confidence: 0.5, round: 2 }), kind: "decision", attempts: 0, order: 0, actor: "local",
  });
});

test("what an earlier version left in the browser is sent, in its order", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const left = [
    { ...aDecision(5), kind: "decision", attempts: 3, order: 20 },
    { ...aDecision(4), kind: "decision", attempts: 0, order: 10 },
    { kind: "undo", uid: "uid-undo", target: "uid-4", image_id: 4, attempts: 0, order: 30 },
  ];
  for (const entry of left) localStorage.setItem(`starling.outbox|${base}|${entry.uid}`, JSON.stringify(entry));
  localStorage.setItem("starling.outbox|/starling/p/another|x", JSON.stringify({ ...aDecision(9), kind: "decision", order: 1 }));
  outboxFor(base);
  await pass(t, 0);
  assert.deepEqual(server.sent().map((one) => one.uid), ["uid-4", "uid-5"]);
  assert.deepEqual(server.requests.at(-1), { path: "undo", body: { uid: "uid-undo", target: "uid-4" } });
  assert.deepEqual([...server.recorded.keys()], ["uid-5"]);
});

test("a tab that closes before the answer loses nothing and doubles nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.faults = ["lost"]; // recorded, and the tab is gone before it hears of it
  outboxFor(base).decide(aDecision(1));
  await pass(t, 200);
  assert.equal(server.recorded.size, 1);
  const after = await reloaded();
  await pass(t, 0);
  assert.equal(server.sent().length, 2);
  assert.equal(server.recorded.size, 1);
  assert.equal(after.status().pending, 0);
});

test("while the server is down it tries again, each time later, and then all arrive", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.faults = Array(WAITS.length).fill("down");
  const outbox = outboxFor(base);
  outbox.decide(aDecision(1));
  await pass(t, 200);
  for (const [tries, wait] of WAITS.entries()) {
    assert.equal(server.requests.length, tries + 1);
    assert.equal(outbox.status().problem, "no connection to Starling");
    await pass(t, wait - 1);
    assert.equal(server.requests.length, tries + 1, `not before ${wait} ms`);
    await pass(t, 1);
  }
  assert.deepEqual([...server.recorded.keys()], ["uid-1"]);
  assert.equal(outbox.status().problem, "");
});

test("a further decision does not wait for the next try", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.faults = ["down"];
  const outbox = outboxFor(base);
  outbox.decide(aDecision(1));
  await pass(t, 200);
  outbox.decide(aDecision(2));
  await pass(t, 200);
  assert.deepEqual([...server.recorded.keys()], ["uid-1", "uid-2"]);
});

test("a decision at fault is let go with words, and all others arrive", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.wrong.add(2);
  const outbox = outboxFor(base);
  const refused = [];
  outbox.subscribe((event) => event.type === "refused" && refused.push([event.entry.uid, event.message]));
  for (const id of [1, 2, 3, 4]) outbox.decide(aDecision(id));
  await pass(t, 200);
  await pass(t, 0);
  assert.deepEqual(refused, [["uid-2", "a bad decision"]]);
  assert.deepEqual([...server.recorded.keys()], ["uid-1", "uid-3", "uid-4"]);
  assert.equal(outbox.status().pending, 0);
  assert.equal(localStorage.getItem(`starling.outbox|${base}|uid-2`), null);
});

test("a second decision on an image waits for the first and stands on the version it made", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const outbox = outboxFor(base);
  outbox.decide(aDecision(1, { uid: "first" }));
  outbox.decide(aDecision(1, { uid: "second", label: "dog" }));
  outbox.decide(aDecision(2));
  await pass(t, 200);
  await pass(t, 0);
  const requests = server.requests.map(({ body }) => body.decisions.map((one) => [one.uid, one.base_version]));
  assert.deepEqual(requests, [[["first", 0], ["uid-2", 0]], [["second", 1]]]);
  assert.equal(server.stateOf(1).label, "dog");
});

test("a decision that was never sent can be taken out; one that may have arrived gets an undo behind it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  server.faults = ["lost"];
  const outbox = outboxFor(base);
  outbox.decide(aDecision(1));
  await pass(t, 200);
  outbox.decide(aDecision(2));
  assert.equal(outbox.drop("uid-2"), true);
  assert.equal(localStorage.getItem(`starling.outbox|${base}|uid-2`), null);
  assert.equal(outbox.drop("uid-1"), false);
  outbox.undo("uid-1", 1);
  outbox.decide(aDecision(3));
  await pass(t, 15000);
  await pass(t, 15000);
  assert.deepEqual(server.requests.map(({ path }) => path), ["decisions", "decisions", "undo"]);
  assert.deepEqual([...server.recorded.keys()], ["uid-3"]);
  assert.equal(outbox.status().pending, 0);
});

test("taking back “the last one” waits until all before it are in", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const outbox = outboxFor(base);
  const undone = [];
  outbox.subscribe((event) => event.type === "undone" && undone.push(event.acks[0].state.image_id));
  outbox.decide(aDecision(1));
  outbox.decide(aDecision(2));
  outbox.undo(null, null);
  outbox.decide(aDecision(3));
  await pass(t, 200);
  await pass(t, 0);
  assert.deepEqual(undone, [2]);
  assert.deepEqual([...server.recorded.keys()], ["uid-1", "uid-3"]);
});

test("an undo of what is no longer there is let go with words", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const outbox = outboxFor(base);
  const refused = [];
  outbox.subscribe((event) => event.type === "refused" && refused.push(event.message));
  outbox.undo("uid-gone", 1);
  await pass(t, 200);
  assert.deepEqual(refused, ["there is nothing to take back"]);
  assert.equal(outbox.status().pending, 0);
});

test("an answer that acknowledges nothing counts as none", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const fetchReal = server.fetch;
  globalThis.fetch = async () => new Response("{}", { headers: { "content-type": "application/json" } });
  const outbox = outboxFor(base);
  outbox.decide(aDecision(1));
  await pass(t, 200);
  assert.equal(outbox.status().problem, "no acknowledgement came back");
  assert.equal(outbox.status().pending, 1);
  globalThis.fetch = fetchReal;
  await pass(t, 15000);
  assert.equal(server.recorded.size, 1);
});

test("another site's page is not taken for an answer", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.fetch = async () => new Response("<html>", { headers: { "content-type": "text/html" } });
  const outbox = outboxFor(base);
  outbox.decide(aDecision(1));
  await pass(t, 200);
  assert.equal(outbox.status().problem, "the answer was not Starling's");
  assert.equal(outbox.status().pending, 1);
});

test("a browser that keeps nothing still sends, and says that it keeps nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(console, "warn", () => undefined);
  server = browser({ broken: true });
  const outbox = outboxFor(base);
  outbox.decide(aDecision(1));
  await pass(t, 200);
  assert.equal(server.recorded.size, 1);
  assert.equal(outbox.status().kept, false);
});

test("all components of a page share one outbox a project", () => {
  assert.equal(outboxFor(base), outboxFor(base));
  assert.notEqual(outboxFor(base), outboxFor(aBase()));
});

test("a component that has gone is told nothing more, and sending goes on", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const outbox = outboxFor(base);
  const told = [];
  const leave = outbox.subscribe((event) => told.push(event.type));
  leave();
  outbox.decide(aDecision(1));
  await pass(t, 200);
  assert.deepEqual(told, ["status"]);
  assert.equal(server.recorded.size, 1);
});

test("what waits is recorded under the name that was set when the key was pressed", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const outbox = outboxFor(base);
  signAs("Ann");
  outbox.decide(aDecision(1));
  outbox.undo("uid-0", 3);
  signAs("Ben M.");
  outbox.decide(aDecision(2));
  signAs("");
  outbox.decide(aDecision(4));
  const again = await reloaded(); // as after a crash of the tab
  signAs("Cleo");
  again.decide(aDecision(5));
  await pass(t, 200);
  await pass(t, 0);
  const stamped = (one) => [one.uid, one.actor];
  const named = new Map(server.requests.flatMap(({ body }) => (body.decisions ?? [body]).map(stamped)));
  assert.deepEqual([1, 2, 4].map((id) => named.get(`uid-${id}`)), ["Ann", "Ben M.", "local"]);
  const undos = server.requests.filter(({ path }) => path === "undo").map(({ body }) => body.actor);
  assert.deepEqual(new Set(undos), new Set(["Ann"]));
});
