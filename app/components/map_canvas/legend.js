// The legend: classes with their colours and counts. A click shows or hides one, a double click leaves it alone on the map.

import { count, el, inkOf, setText, show } from "../common/dom.js";
import { CHANGED, IMPROVED, UNKNOWN, WORSENED } from "./codes.js";
import { DIFFERS_COLOUR, RAMP_COLOURS, SAME_COLOUR } from "./palette.js";
import { CIRCLE, drawShape, RING_COLOURS, STAR } from "./sprites.js";

/** @import { MapActions, MapModel } from "./types.d.ts" */

/**
 * @param {MapModel} model
 * @param {MapActions} actions
 */
export function buildLegend(model, actions) {
  const list = el("div", { class: "legend-list", role: "group", "aria-label": "Classes on the map" });
  const key = el("div", { class: "colour-key", hidden: true, testid: "map-colour-key" });
  const rings = el("div", { class: "shapes faint", hidden: true }, ringKey("now right", IMPROVED), ringKey("now wrong", WORSENED), ringKey("changed", CHANGED));
  const node = el("section", { class: "legend", testid: "map-legend" },
    el("div", { class: "shapes faint" }, shapeKey(STAR, "unlabeled, by pseudo-label"), shapeKey(CIRCLE, "labeled")), rings, key, list,
    el("p", { class: "faint tip" }, "Click hides a class, double click shows it alone."));
  /** @type {Map<number, { button: HTMLButtonElement, swatch: HTMLElement, amount: HTMLElement }>} by class */
  let rows = new Map();
  let built = "";
  let keyed = "";

  function rebuild() {
    rows = new Map();
    for (const k of [...model.classes.keys(), UNKNOWN]) {
      const swatch = el("span", { class: "swatch" });
      const amount = el("span", { class: "legend-count" });
      const button = el("button", {
        type: "button", class: "legend-row", testid: "map-legend-class", "data-class": model.className(k),
        title: model.className(k),
        onclick: (event) => event.detail < 2 && actions.toggle(k),
        ondblclick: () => {
          model.toggleClass(k); // takes back what the first of the two clicks did
          actions.isolate(k);
        },
        onkeydown: (event) => event.key === "i" && actions.isolate(k),
      }, swatch, el("span", { class: "legend-name" }, model.className(k)), amount);
      rows.set(k, { button, swatch, amount });
    }
    list.replaceChildren(...[...rows.values()].map((row) => row.button));
  }

  // What the colours mean where they are not classes.
  function paintKey() {
    const { colourBy } = model;
    show(key, ["confidence", "changed", "teacher"].includes(colourBy));
    if (keyed === colourBy) return;
    keyed = colourBy;
    if (colourBy === "confidence") {
      const bar = el("span", { class: "ramp" });
      bar.style.background = `linear-gradient(90deg, ${RAMP_COLOURS.join(", ")})`;
      key.replaceChildren(el("span", {}, "least sure"), bar, el("span", {}, "surest"), el("span", { class: "faint" }, "the model's own order"));
    } else if (colourBy === "teacher") {
      key.replaceChildren(dot(DIFFERS_COLOUR), el("span", {}, "they differ"), dot(SAME_COLOUR), el("span", {}, "they agree, or not tracked"));
    } else {
      key.replaceChildren(dot(SAME_COLOUR), el("span", {}, "as at the epoch compared with; others have changed class"));
    }
  }

  /** @param {string} colour */
  function dot(colour) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = colour;
    return swatch;
  }

  function paint() {
    if (!model.points) return;
    const now = model.classes.join("\u0000");
    if (now !== built) {
      built = now;
      rebuild();
    }
    paintKey();
    show(rings, model.ring && model.epochs !== null);
    const byClass = !["confidence", "teacher"].includes(model.colourBy);
    for (const [k, row] of rows) {
      const [labeled, stars] = model.counts.get(k) || [0, 0];
      const on = !model.off.has(k);
      show(row.button, k !== UNKNOWN || stars > 0);
      show(row.swatch, byClass);
      row.swatch.style.background = model.classColour(k);
      row.button.setAttribute("aria-pressed", String(on));
      setText(row.amount, count(labeled + stars));
      row.amount.title = `${count(labeled)} labeled, ${count(stars)} by pseudo-label`;
    }
  }
  return { node, paint };
}

/**
 * @param {number} shape
 * @param {string} text
 */
function shapeKey(shape, text) {
  const canvas = el("canvas", { width: 32, height: 32, class: "shape", "aria-hidden": "true" });
  const context = inkOf(canvas);
  context.translate(16, 16);
  drawShape(context, shape, 9, "#7b8594", "#7b859400");
  return el("span", { class: "shape-key" }, canvas, text);
}

/**
 * @param {string} text
 * @param {number} kind
 */
function ringKey(text, kind) {
  const ring = el("span", { class: "ring-key" });
  ring.style.borderColor = RING_COLOURS[kind] ?? "";
  return el("span", { class: "shape-key" }, ring, text);
}
