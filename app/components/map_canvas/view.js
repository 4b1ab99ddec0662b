// The part of the map that is in sight: pan, zoom, fit, and one or two panes side by side.

/** @import { MapModel, Pane, Place } from "./types.d.ts" */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {MapModel} model
 * @param {() => { radius: number }} settings
 * @param {() => void} redraw
 */
export function createView(canvas, model, settings, redraw) {
  const now = { scale: 0.01, left: 0, top: 0 }; // device pixels; `left` counts from the pane's own left edge
  let ratio = 1;
  let touched = false; // the person has moved the view: a change of size keeps its middle
  let size = { width: 0, height: 0, ratio: 1 }; // before the last change of size

  /** @returns {Pane[]} */
  function panes() {
    const { width } = canvas;
    if (!model.split) return [{ which: "now", from: 0, to: width }];
    const half = Math.floor(width / 2);
    return [{ which: "then", from: 0, to: half }, { which: "now", from: half, to: width }];
  }

  // The one that the epoch shown is drawn in.
  const mainPane = () => panes()[model.split ? 1 : 0];

  /** @param {Place} at */
  const paneAt = ([x]) => panes().find((pane) => x * ratio < pane.to) ?? mainPane();

  /**
   * @param {Place} at
   * @param {Pane} pane
   * @returns {Place}
   */
  const toMap = ([x, y], pane) => [(x * ratio - pane.from - now.left) / now.scale, (now.top - y * ratio) / now.scale];

  /**
   * @param {Place} at
   * @param {Pane} pane
   * @returns {Place}
   */
  const toArea = ([x, y], pane) => [(x * now.scale + now.left + pane.from) / ratio, (now.top - y * now.scale) / ratio];

  /**
   * @param {number} dx
   * @param {number} dy
   */
  function pan(dx, dy) {
    touched = true;
    now.left += dx * ratio;
    now.top += dy * ratio;
    redraw();
  }

  /**
   * @param {number} factor
   * @param {Place} at what stays where it is
   */
  function zoom(factor, at) {
    touched = true;
    const pane = paneAt(at);
    const [x, y] = [at[0] * ratio - pane.from, at[1] * ratio];
    const smallest = (Math.min(pane.to - pane.from, canvas.height) / 65536) * 0.4;
    const scale = Math.max(smallest, Math.min(smallest * 400, now.scale * factor));
    const change = scale / now.scale;
    now.left = x - (x - now.left) * change;
    now.top = y - (y - now.top) * change;
    now.scale = scale;
    redraw();
  }

  // On the moving map the axes fit all epochs, so that they stay as they are while it plays.
  function fit() {
    touched = false;
    if (!model.points || !canvas.width) return;
    const { frames, points } = model;
    const box = model.plane.moving() && frames ? boxOf(frames.x, frames.y) : boxOf([points.x], [points.y]);
    const [left, right, low, high] = box;
    const [{ from, to }] = panes();
    const room = 2 * (settings().radius + 8) * ratio;
    const across = (to - from - room) / Math.max(1, right - left);
    now.scale = Math.max(1e-6, Math.min(across, (canvas.height - room) / Math.max(1, high - low)));
    now.left = (to - from) / 2 - ((left + right) / 2) * now.scale;
    now.top = canvas.height / 2 + ((low + high) / 2) * now.scale;
    redraw();
  }

  /** @param {HTMLElement} area */
  function resize(area) {
    const before = ratio;
    size = { width: canvas.width, height: canvas.height, ratio: before };
    ratio = Math.min(2, globalThis.devicePixelRatio || 1);
    const [width, height] = [Math.round(area.clientWidth * ratio), Math.round(area.clientHeight * ratio)];
    if (!width || !height || (canvas.width === width && canvas.height === height && before === ratio)) return false;
    canvas.width = width;
    canvas.height = height;
    return true;
  }

  // After a change of size: what was in the middle stays there.
  function keep() {
    if (!touched || !size.width) {
      fit();
      return;
    }
    const { width, height } = size;
    const change = ratio / size.ratio;
    const share = model.split ? 0.5 : 1;
    now.left = (canvas.width * share) / 2 + (now.left - (width * share) / 2) * change;
    now.top = canvas.height / 2 + (now.top - height / 2) * change;
    now.scale *= change;
    redraw();
  }

  return { now, keep, panes, mainPane, paneAt, toMap, toArea, pan, zoom, fit, resize, ratio: () => ratio };
}

/**
 * Left, right, bottom and top of all positions.
 * @param {(Float32Array | Int16Array)[]} xs
 * @param {(Float32Array | Int16Array)[]} ys
 */
function boxOf(xs, ys) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  xs.forEach((row, e) => {
    const column = ys[e];
    for (let i = 0; i < row.length; i += 1) {
      left = Math.min(left, row[i]);
      right = Math.max(right, row[i]);
      low = Math.min(low, column[i]);
      high = Math.max(high, column[i]);
    }
  });
  return left <= right ? [left, right, low, high] : [-1, 1, -1, 1];
}
