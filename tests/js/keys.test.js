// What key presses mean, and which class each digit gives.

import assert from "node:assert/strict";
import { test } from "node:test";

import { classIndexOf, classKeys, intentOf, keyCap, matchingNames } from "../../app/components/common/keys.js";
import { aKey } from "./fakes.js";

test("digits go by their place, on the row and on the pad", () => {
  assert.equal(classIndexOf(aKey("1")), 0);
  assert.equal(classIndexOf(aKey("0")), 9);
  assert.equal(classIndexOf(aKey("&", { code: "Digit1" })), 0); // a French keyboard
  assert.equal(classIndexOf(aKey("!", { code: "Digit1", shiftKey: true })), 10);
  assert.equal(classIndexOf(aKey("5", { code: "Numpad5" })), 4);
  assert.equal(classIndexOf(aKey("End", { code: "Numpad1" })), null); // without NumLock
  assert.equal(classIndexOf(aKey("a")), null);
});

test("each key has its intent, and with Ctrl, Alt or in a composition none", () => {
  const intents = { a: "accept", k: "keep", x: "reject", u: "unsure", f: "flag" };
  for (const [key, action] of Object.entries(intents)) assert.deepEqual(intentOf(aKey(key)), { kind: "act", action });
  assert.deepEqual(intentOf(aKey("Enter")), { kind: "act", action: "accept", native: true });
  assert.deepEqual(intentOf(aKey(" ")), { kind: "act", action: "skip", native: true });
  assert.deepEqual(intentOf(aKey("3")), { kind: "class", index: 2 });
  assert.deepEqual(intentOf(aKey("ArrowLeft")), { kind: "move", step: -1 });
  assert.deepEqual(intentOf(aKey("Backspace")), { kind: "undo" });
  assert.deepEqual(intentOf(aKey("?", { shiftKey: true })), { kind: "help" });
  assert.equal(intentOf(aKey("X", { shiftKey: true })), null);
  assert.equal(intentOf(aKey("q")), null);
  for (const held of ["ctrlKey", "metaKey", "altKey", "isComposing"]) assert.equal(intentOf(aKey("a", { [held]: true })), null);
});

test("a class named by a digit has its own key; the others take the keys that are left", () => {
  const keys = classKeys(["7", "cat", "1", "dog"]);
  assert.equal(keys[6], "7");
  assert.equal(keys[0], "1");
  assert.deepEqual([keys[1], keys[2]], ["cat", "dog"]);
  assert.equal(keys.filter((name) => name !== null).length, 4);
  const many = classKeys(Array.from({ length: 30 }, (_, k) => `class ${k}`));
  assert.equal(many.length, 20);
  assert.equal(many[19], "class 19");
});

test("key caps name the key", () => {
  assert.deepEqual([0, 8, 9, 10, 19, -1].map(keyCap), ["1", "9", "0", "⇧1", "⇧0", ""]);
});

test("a class is found by a part of its name, those that begin with it first", () => {
  assert.deepEqual(matchingNames(["Big cat", "dog", "Cat"], " cat"), ["Cat", "Big cat"]);
  assert.deepEqual(matchingNames(["a", "b"], ""), ["a", "b"]);
});
