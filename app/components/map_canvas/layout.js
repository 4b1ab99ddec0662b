// Where the points are: all images on the fixed map, or the tracked ones of a round at one of its epochs.

import { FIXED, MOVING } from "./codes.js";
import { nearest, shareOf } from "./data.js";
import { placesOf } from "./places.js";

/** @import { Layout, LayoutKind, MapModel, PaneName, Place, Positions } from "./types.d.ts" */

export const TRAILS_AT_MOST = 200;

/**
 * @param {MapModel} model
 * @returns {Layout}
 */
export function createLayout(model) {
  const layout = {
    kind: /** @type {LayoutKind} */ (FIXED), place: new Int32Array(0), tracked: new Uint8Array(0), now: blank(0), then: blank(0),
  };

  // Positions are kept for all points, so that a point has one index in every layout.
  function fit() {
    const n = model.points ? model.points.n : 0;
    if (layout.now.n !== n) Object.assign(layout, { now: blank(n), then: blank(n) });
    layout.tracked = new Uint8Array(n);
    layout.place = new Int32Array(n).fill(-1);
    const { frames } = model;
    if (!frames || !model.points) return;
    const places = placesOf(model.points);
    frames.index = Int32Array.from(frames.ids, (id) => places.get(id) ?? -1);
    frames.index.forEach((i, t) => {
      if (i < 0) return;
      layout.place[i] = t;
      layout.tracked[i] = 1;
    });
  }

  // The frames, where the layout is the moving one and has some.
  const framesShown = () => (layout.kind === MOVING && model.frames && model.frames.epochs.length > 0 ? model.frames : null);
  const moving = () => framesShown() !== null;

  /**
   * The frame of an epoch of the slider: the last one laid out not after it.
   * @param {number} e
   */
  function frameOf(e) {
    const wanted = model.epochs ? model.epochs.epochs[e] : Infinity;
    const epochs = model.frames?.epochs ?? [];
    let f = 0;
    while (f + 1 < epochs.length && epochs[f + 1] <= wanted) f += 1;
    return f;
  }

  /**
   * Puts the points of a pane where they are at a moment between two epochs of the slider.
   * @param {PaneName} which
   * @param {number} moment
   */
  function put(which, moment) {
    const frames = framesShown();
    if (!frames) return;
    const { index, x, y } = frames;
    const pane = layout[which];
    const e = Math.floor(moment);
    const share = moment - e;
    const most = model.epochs ? model.epochs.epochs.length - 1 : 0;
    const [a, b] = [frameOf(Math.min(e, most)), frameOf(Math.min(e + 1, most))];
    for (let t = 0; t < index.length; t += 1) {
      const i = index[t];
      if (i < 0) continue;
      pane.x[i] = x[a][t] + share * (x[b][t] - x[a][t]);
      pane.y[i] = y[a][t] + share * (y[b][t] - y[a][t]);
    }
  }

  /**
   * What is drawn in a pane: "now" or, side by side, "then".
   * @param {PaneName} which
   */
  function positions(which = "now") {
    return moving() || !model.points ? layout[which] : model.points;
  }

  /**
   * @param {PaneName} which
   * @param {number} x
   * @param {number} y
   * @param {number} reach
   */
  function nearestTo(which, x, y, reach) {
    const frames = framesShown();
    if (!frames) return nearest(model.loaded(), x, y, reach, model.visible);
    const pane = layout[which];
    let best = -1;
    let bestSquare = reach * reach;
    for (const i of frames.index) {
      if (i < 0 || !model.visible(i)) continue;
      const square = (pane.x[i] - x) ** 2 + (pane.y[i] - y) ** 2;
      if (square <= bestSquare) {
        bestSquare = square;
        best = i;
      }
    }
    return best;
  }

  /**
   * The way of a point up to the moment shown; empty on the fixed map.
   * @param {number} i
   */
  function trail(i) {
    const t = layout.place[i];
    const frames = framesShown();
    /** @type {Place[]} */
    const way = [];
    if (!frames || t < 0) return way;
    const last = frameOf(model.epoch);
    for (let f = 0; f <= last; f += 1) way.push([frames.x[f][t], frames.y[f][t]]);
    way.push([layout.now.x[i], layout.now.y[i]]);
    return way;
  }

  /**
   * What one of the round's two networks said of a tracked image.
   * @param {"student" | "teacher"} who
   * @param {number} i
   * @param {number} e
   */
  function guess(who, i, e = model.epoch) {
    const t = layout.place[i] ?? -1;
    const predicted = model.frames?.[who];
    if (!predicted || t < 0 || !predicted.cls.length) return null;
    const f = frameOf(e);
    return { k: predicted.cls[f][t], p: shareOf(predicted.conf[f][t]) };
  }

  return Object.assign(layout, { fit, moving, frameOf, put, positions, nearestTo, trail, guess });
}

/**
 * @param {number} n
 * @returns {Positions}
 */
function blank(n) {
  return { n, x: new Float32Array(n), y: new Float32Array(n) };
}
