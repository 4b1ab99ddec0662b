// What is said of one image of the map.

import { el, percent } from "../common/dom.js";
import { UNKNOWN } from "./codes.js";

/** @import { MapModel } from "./types.d.ts" */

/**
 * @param {MapModel} model
 * @param {number} k
 */
export function classSwatch(model, k) {
  const swatch = el("span", { class: "swatch" });
  swatch.style.background = model.classColour(k);
  return swatch;
}

/**
 * "label", or the confidence of the pseudo-label.
 * @param {MapModel} model
 * @param {number} i
 */
export function sureWords(model, i) {
  if (model.loaded().label[i] >= 0) return "label";
  return model.shownClass[i] === UNKNOWN ? "–" : percent(model.confidence(i));
}

/**
 * @param {MapModel} model
 * @param {number} i
 */
export function aboutImage(model, i) {
  const { label, flags } = model.loaded();
  if (label[i] >= 0) return flags[i] & 2 ? "label, reviewed" : "label";
  return model.shownClass[i] === UNKNOWN ? "unlabeled" : `pseudo-label · ${percent(model.confidence(i))}`;
}
