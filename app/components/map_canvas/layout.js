// Where the points are: all images on the fixed map, or the tracked ones of a round at one of its epochs.

import { FIXED, MOVING } from "./codes.js";
import { nearest, shareOf } from "./data.js";

export const TRAILS_AT_MOST = 200;

export function createLayout(model) {
  const layout = { kind: FIXED, place: new Int32Array(0), tracked: null, now: null, then: null };
  const blank = () => ({ n: 0, x: new Float32Array(0), y: new Float32Array(0) });
  layout.now = blank();
  layout.then = blank();

  // Positions are kept for all points, so that a point has one index in every layout.
  function fit() {
    const n = model.points ? model.points.n : 0;
    if (layout.now.n !== n) {
      for (const pane of ["now", "then"]) layout[pane] = { n, x: new Float32Array(n), y: new Float32Array(n) };
    }
    layout.tracked = new Uint8Array(n);
    layout.place = new Int32Array(n).fill(-1);
    if (!model.frames) return;
    const rows = new Map(Array.from(model.points.ids, (id, i) => [id, i]));
    model.frames.index = Int32Array.from(model.frames.ids, (id) => rows.get(id) ?? -1);
    model.frames.index.forEach((i, t) => {
      if (i < 0) return;
      layout.place[i] = t;
      layout.tracked[i] = 1;
    });
  }

  const moving = () => layout.kind === MOVING && model.frames !== null && model.frames.epochs.length > 0;

  // The frame of an epoch of the slider: the last one laid out not after it.
  function frameOf(e) {
    const wanted = model.epochs ? model.epochs.epochs[e] : Infinity;
    const { epochs } = model.frames;
    let found = 0;
    while (found + 1 < epochs.length && epochs[found + 1] <= wanted) found += 1;
    return found;
  }

  // Puts the points of a pane where they are at a moment between two epochs of the slider.
  function put(pane, moment) {
    const { index, x, y } = model.frames;
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

  // What is drawn in a pane: "now" or, side by side, "then".
  function positions(which = "now") {
    return moving() || !model.points ? layout[which] : model.points;
  }

  function nearestTo(which, x, y, reach) {
    if (!moving()) return nearest(model.points, x, y, reach, model.visible);
    const pane = layout[which];
    let best = -1;
    let bestSquare = reach * reach;
    for (const i of model.frames.index) {
      if (i < 0 || !model.visible(i)) continue;
      const square = (pane.x[i] - x) ** 2 + (pane.y[i] - y) ** 2;
      if (square <= bestSquare) {
        bestSquare = square;
        best = i;
      }
    }
    return best;
  }

  // The way of a point up to the moment shown, as [[x, y], …]; empty on the fixed map.
  function trail(i) {
    const t = layout.place[i];
    if (!moving() || t < 0) return [];
    const last = frameOf(model.epoch);
    const way = [];
    for (let f = 0; f <= last; f += 1) way.push([model.frames.x[f][t], model.frames.y[f][t]]);
    way.push([layout.now.x[i], layout.now.y[i]]);
    return way;
  }

  function said(who, i, e = model.epoch) {
    const t = layout.place[i] ?? -1;
    const found = model.frames?.[who];
    if (!found || t < 0 || !model.frames.epochs.length) return null;
    const f = frameOf(e);
    return { k: found.cls[f][t], p: shareOf(found.conf[f][t]) };
  }

  return Object.assign(layout, { fit, moving, frameOf, put, positions, nearestTo, trail, said });
}
