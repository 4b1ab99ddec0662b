// The map's binary arrays, decoded from bodies that Starling's own routes have packed (test_javascript.py writes them).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { appendEpochs, parseEpochs, parseFrames, parsePoints } from "../../app/components/map_canvas/data.js";

const folder = process.env.STARLING_PACKED;
const skip = folder ? false : "needs the bodies that test_javascript.py packs";

/** A body as the browser gets it. */
function body(name) {
  const bytes = readFileSync(join(folder, `${name}.bin`));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

const expected = (name) => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
const shares = (rows) => rows.map((row) => [...row].map((step) => step / 255));

function near(found, wanted, most) {
  wanted.forEach((row, e) => row.forEach((value, i) => assert.ok(Math.abs(found[e][i] - value) <= most, `${e}, ${i}: ${found[e][i]} is not ${value}`)));
}

test("points come with their ids, labels, flags and places", { skip }, () => {
  const points = parsePoints(body("points"));
  const wanted = expected("points");
  assert.deepEqual([...points.ids], wanted.ids);
  assert.deepEqual([...points.versions], wanted.versions);
  assert.deepEqual([...points.label].map((k) => points.classes[k] ?? null), wanted.labels);
  assert.deepEqual([...points.flags], wanted.flags);
  assert.equal(Math.max(...points.x.map(Math.abs), ...points.y.map(Math.abs)), 32767);
  assert.equal(points.truth, null);
  assert.equal(points.density, null);
  assert.equal(points.status, "ready");
});

test("a sample of many points brings the density of all", { skip }, () => {
  const points = parsePoints(body("sampled"));
  assert.equal(points.n, 4);
  assert.equal(points.total, 6);
  assert.equal(points.density.length, points.grid ** 2);
  assert.equal(Math.max(...points.density), 255);
});

for (const name of ["epochs", "epochs_wide"]) {
  test(`pseudo-labels and confidences are those of each epoch (${name})`, { skip }, () => {
    const epochs = parseEpochs(body(name));
    const wanted = expected(name);
    assert.equal(epochs.wide, name === "epochs_wide");
    assert.deepEqual(epochs.epochs, wanted.epochs);
    assert.deepEqual(epochs.cls.map((row) => [...row]), wanted.classes);
    near(shares(epochs.conf), wanted.confidences, 0.5 / 255);
  });
}

test("later epochs are put behind those known", { skip }, () => {
  const whole = parseEpochs(body("epochs"));
  const later = parseEpochs(body("epochs_later"));
  assert.equal(later.first, 1);
  const first = { ...whole, epochs: whole.epochs.slice(0, 1), cls: whole.cls.slice(0, 1), conf: whole.conf.slice(0, 1) };
  const joined = appendEpochs(first, later);
  assert.deepEqual(joined.epochs, whole.epochs);
  assert.deepEqual(joined.cls, whole.cls);
  assert.deepEqual(joined.conf, whole.conf);
  assert.equal(joined.mark, whole.mark);
});

test("frames come with their places and what student and teacher said", { skip }, () => {
  const frames = parseFrames(body("frames"));
  const wanted = expected("frames");
  assert.deepEqual([...frames.ids], wanted.ids);
  assert.deepEqual(frames.x.map((row) => [...row]), wanted.x);
  assert.deepEqual(frames.y.map((row) => [...row]), wanted.y);
  assert.deepEqual(frames.student.cls.map((row) => [...row]), wanted.student);
  assert.deepEqual(frames.teacher.cls.map((row) => [...row]), wanted.teacher);
  near(shares(frames.student.conf), wanted.sure, 0.5 / 255);
  assert.deepEqual(frames.recall, wanted.recall);
});

test("a body that is too short or too long is not shown", { skip }, () => {
  const whole = body("points");
  assert.throws(() => parsePoints(whole.slice(0, -1)), /do not fit this page/);
  const longer = new Uint8Array(whole.byteLength + 1);
  longer.set(new Uint8Array(whole));
  assert.throws(() => parsePoints(longer.buffer), /do not fit this page/);
});
