// The loader that Streamlit is given: nothing is lost while the modules are on their way.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

import { browser, flush } from "./fakes.js";
import { componentAt } from "../../app/components/loader.js";

/** Modules that come when the test says so, as an address; calls: what the component was called with. */
function modules(name) {
  globalThis.calls = [];
  globalThis.gate = {};
  globalThis.gate.open = new Promise((resolve, reject) => Object.assign(globalThis.gate, { resolve, reject }));
  const text = `await globalThis.gate.open; /* ${name} */
    export default (given) => { globalThis.calls.push(given.data); return () => globalThis.calls.push("gone"); };`;
  return `data:text/javascript,${encodeURIComponent(text)}`;
}

let parentElement;

beforeEach(() => {
  browser();
  parentElement = document.createElement("div");
});

test("a data change that comes while the modules load is not lost, and nothing is called twice", async () => {
  const component = componentAt(modules("a"), []);
  const first = component({ data: 1, parentElement });
  component({ data: 2, parentElement });
  assert.equal(typeof first, "function");
  assert.deepEqual(globalThis.calls, []);
  globalThis.gate.resolve();
  await flush();
  assert.deepEqual(globalThis.calls, [2]);
  const leave = component({ data: 3, parentElement });
  assert.deepEqual(globalThis.calls, [2, 3]);
  leave();
  assert.deepEqual(globalThis.calls, [2, 3, "gone"]);
});

test("what is removed before its modules are there is never mounted, and can come again", async () => {
  const component = componentAt(modules("b"), []);
  component({ data: 1, parentElement })();
  globalThis.gate.resolve();
  await flush();
  assert.deepEqual(globalThis.calls, []);
  component({ data: 2, parentElement });
  await flush();
  assert.deepEqual(globalThis.calls, [2]);
});

test("two places on one page are two", async () => {
  const component = componentAt(modules("c"), []);
  globalThis.gate.resolve();
  component({ data: "left", parentElement });
  component({ data: "right", parentElement: document.createElement("div") });
  await flush();
  assert.deepEqual(globalThis.calls, ["left", "right"]);
});

test("modules that cannot be loaded are told of in words, until the component leaves", async (t) => {
  t.mock.method(console, "error", () => undefined);
  const component = componentAt(modules("d"), []);
  const leave = component({ data: 1, parentElement });
  globalThis.gate.reject(new Error("404"));
  await flush();
  assert.match(parentElement.byTestId("component-not-loaded").textContent, /Reload the page/);
  component({ data: 2, parentElement });
  leave();
  assert.equal(parentElement.byTestId("component-not-loaded"), null);
});

test("once the modules can be had, the next place loads them", async (t) => {
  const told = t.mock.method(console, "error", () => undefined);
  const folder = mkdtempSync(join(tmpdir(), "starling-"));
  const file = join(folder, "index.mjs");
  globalThis.calls = [];
  const component = componentAt(pathToFileURL(file).href, []);
  component({ data: 1, parentElement })();
  for (let turn = 0; turn < 2000 && !told.mock.callCount(); turn += 1) await flush();
  assert.equal(told.mock.callCount(), 1);
  writeFileSync(file, "export default ({ data }) => { globalThis.calls.push(data); return () => undefined; };");
  component({ data: 2, parentElement });
  for (let turn = 0; turn < 2000 && !globalThis.calls.length; turn += 1) await flush();
  assert.deepEqual(globalThis.calls, [2]);
  rmSync(folder, { recursive: true });
});

test("all modules are asked for at once", () => {
  componentAt(modules("e"), ["/starling/js/v/a.js", "/starling/js/v/b.js"])({ data: 1, parentElement });
  assert.deepEqual(document.head.children.map((link) => [link.rel, link.href]), [
    ["modulepreload", "/starling/js/v/a.js"], ["modulepreload", "/starling/js/v/b.js"],
  ]);
});
