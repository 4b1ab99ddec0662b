// Images of the map by their ids, and what is said of one.

import { el, percent } from "../common/dom.js";
import { UNKNOWN } from "./codes.js";

export const selectionOrders = new WeakMap(); // a selection that came in an order of its own -> the words for that order
const placesByPoints = new WeakMap();

// Index of each image id; made once for each set of points.
export function placesOf(points) {
  if (!placesByPoints.has(points)) placesByPoints.set(points, new Map(Array.from(points.ids, (id, i) => [id, i])));
  return placesByPoints.get(points);
}

// Indices of the images of these ids, in their order; those that are not on the map are left out.
export function placesFor(points, ids) {
  if (!ids.length) return [];
  const places = placesOf(points);
  return Array.from(ids, (id) => places.get(id)).filter((i) => i !== undefined);
}

export function inOrder(indices, words) {
  selectionOrders.set(indices, words);
  return indices;
}

export function classSwatch(model, k) {
  const swatch = el("span", { class: "swatch" });
  swatch.style.background = model.classColour(k);
  return swatch;
}

// "label", or the confidence of the pseudo-label.
export function sureWords(model, i) {
  return model.points.label[i] >= 0 ? "label" : model.shownClass[i] === UNKNOWN ? "–" : percent(model.confidence(i));
}

export function aboutImage(model, i) {
  if (model.points.label[i] >= 0) return model.points.flags[i] & 2 ? "label, reviewed" : "label";
  return model.shownClass[i] === UNKNOWN ? "unlabeled" : `pseudo-label · ${percent(model.confidence(i))}`;
}
