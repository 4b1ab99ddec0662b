// Which points are shown.

import { UNKNOWN } from "./codes.js";

/** @import { Filter, MapModel } from "./types.d.ts" */

/** @type {Filter} */
export const CALM = { pool: "all", flips: 0, joined: null, below: 1, differs: false };

/**
 * Says for each point whether it passes; the class filter of the legend comes on top.
 * @param {MapModel} model
 * @param {number} i
 */
export function passes(model, i) {
  const { pool, flips, joined, below, differs } = model.filter;
  const labeled = model.loaded().label[i] >= 0;
  if (pool !== "all" && labeled !== (pool === "labeled")) return false;
  if (flips > 0 && model.flips(i) < flips) return false;
  if (below < 1 && (labeled || (model.confidence(i) ?? 1) >= below)) return false;
  if (joined !== null && (model.pseudo(i) !== joined || [joined, UNKNOWN].includes(model.pseudo(i, model.since)))) return false;
  if (differs) {
    const [student, teacher] = [model.student(i), model.teacher(i)];
    if (!student || !teacher || student.k === teacher.k) return false;
  }
  return true;
}

/** @param {Filter} filter */
export function activeFilters(filter) {
  const names = /** @type {(keyof Filter)[]} */ (Object.keys(CALM));
  return names.filter((name) => filter[name] !== CALM[name]).length;
}
