// What is said of one image of the map.

import { el } from "../common/dom.js";
import { sureWords } from "../common/words.js";
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
 * "label", or how sure the pseudo-label is, where answers have measured it: only after the last epoch.
 * @param {MapModel} model
 * @param {number} i
 */
export function standingWords(model, i) {
  if (model.loaded().label[i] >= 0) return "label";
  return model.shownClass[i] === UNKNOWN ? "–" : pseudoWords(model, i);
}

/**
 * @param {MapModel} model
 * @param {number} i
 */
function pseudoWords(model, i) {
  const { epochs, epoch } = model;
  return epochs !== null && epoch === epochs.epochs.length - 1 ? sureWords(epochs.scale, epochs.step[i]) : "";
}

/**
 * @param {MapModel} model
 * @param {number} i
 */
export function aboutImage(model, i) {
  const { label, flags } = model.loaded();
  if (label[i] >= 0) return flags[i] & 2 ? "label, reviewed" : "label";
  if (model.shownClass[i] === UNKNOWN) return "unlabeled";
  return ["pseudo-label", pseudoWords(model, i)].filter(Boolean).join(" · ");
}
