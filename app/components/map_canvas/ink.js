// Drawn over the points: names of the panes, the way selected points came, outlines of flagged regions, the point meant.

import { inkOf } from "../common/dom.js";
import { TRAILS_AT_MOST } from "./layout.js";

/** @import { MapModel, MapTheme, Pane, Place } from "./types.d.ts" */

/**
 * @typedef {{ members: number[], name: string }} Outlined
 *
 * @param {HTMLCanvasElement} canvas
 * @param {MapModel} model
 * @param {object} map what the drawing is laid over
 * @param {(at: Place, pane: Pane) => Place} map.toArea
 * @param {() => number} map.ratio
 * @param {() => MapTheme} map.theme
 * @param {() => number} map.radius
 * @param {() => Pane[]} map.panes
 * @param {() => Pane} map.mainPane
 * @param {() => Outlined[]} map.regions
 */
export function createInk(canvas, model, { toArea, ratio, theme, radius, panes, mainPane, regions }) {
  const ink = inkOf(canvas);
  let meant = -1;

  function paint() {
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, canvas.width, canvas.height);
    if (!model.points) return;
    ink.setTransform(ratio(), 0, 0, ratio(), 0, 0);
    if (model.split) divide();
    for (const region of regions()) outline(region);
    for (const i of model.selection.slice(0, TRAILS_AT_MOST)) trail(i);
    if (meant >= 0 && model.visible(meant)) for (const pane of panes()) circle(meant, pane);
  }

  function divide() {
    const [, right] = panes();
    ink.strokeStyle = theme().line;
    ink.globalAlpha = 0.25;
    ink.lineWidth = 1;
    ink.beginPath();
    ink.moveTo(right.from / ratio() - 0.5, 0);
    ink.lineTo(right.from / ratio() - 0.5, canvas.height / ratio());
    ink.stroke();
    ink.globalAlpha = 1;
  }

  /** @param {number} i */
  function trail(i) {
    const way = model.plane.trail(i);
    if (way.length < 2 || !model.visible(i)) return;
    const pane = mainPane();
    const colour = model.colours[model.slotOf[i]];
    way.slice(1).forEach((to, step) => {
      ink.globalAlpha = 0.2 + (0.7 * (step + 1)) / way.length;
      ink.strokeStyle = colour;
      ink.lineWidth = 1.6;
      ink.beginPath();
      ink.moveTo(...toArea(way[step], pane));
      ink.lineTo(...toArea(to, pane));
      ink.stroke();
    });
    ink.globalAlpha = 1;
  }

  /** @param {Outlined} region */
  function outline({ members, name }) {
    const pane = mainPane();
    const { x, y } = model.plane.positions();
    const corners = hull(core(members.filter(model.visible).map((i) => /** @type {Place} */ ([x[i], y[i]]))));
    if (corners.length < 3) return;
    const places = corners.map((corner) => toArea(corner, pane));
    ink.strokeStyle = theme().accent;
    ink.lineWidth = 2;
    ink.setLineDash([6, 4]);
    ink.beginPath();
    places.forEach(([left, top]) => ink.lineTo(left, top));
    ink.closePath();
    ink.stroke();
    ink.setLineDash([]);
    const [left, top] = places.reduce((best, place) => (place[1] < best[1] ? place : best));
    ink.font = "600 13px system-ui, sans-serif";
    const width = ink.measureText(name).width;
    ink.fillStyle = theme().accent;
    ink.beginPath();
    ink.roundRect(left - width / 2 - 7, Math.max(4, top - 25), width + 14, 21, 6);
    ink.fill();
    ink.fillStyle = theme().ground;
    ink.fillText(name, left - width / 2, Math.max(19, top - 10));
  }

  /**
   * @param {number} i
   * @param {Pane} pane
   */
  function circle(i, pane) {
    const positions = model.plane.positions(pane.which);
    const [x, y] = toArea([positions.x[i], positions.y[i]], pane);
    ink.beginPath();
    ink.arc(x, y, radius() + 4.5, 0, 2 * Math.PI);
    ink.strokeStyle = theme().accent;
    ink.lineWidth = 2.5;
    ink.stroke();
  }

  return {
    paint,
    /** @param {number} i of the point meant, -1 for none */
    mean(i) {
      meant = i;
      paint();
    },
  };
}

/**
 * The nine tenths of the places that lie nearest to their median: a few strays would blow an outline up.
 * @param {Place[]} places
 */
function core(places) {
  if (places.length < 4) return places;
  const middle = [0, 1].map((axis) => places.map((place) => place[axis]).sort((a, b) => a - b)[places.length >> 1]);
  const far = (/** @type {Place} */ [x, y]) => Math.hypot(x - middle[0], y - middle[1]);
  return [...places].sort((a, b) => far(a) - far(b)).slice(0, Math.ceil(places.length * 0.9));
}

/**
 * The convex hull (Andrew's monotone chain).
 * @param {Place[]} places
 */
function hull(places) {
  const sorted = [...places].sort((a, b) => a[0] - b[0] || a[1] - b[1]);

  /** @type {(o: Place, a: Place, b: Place) => number} */
  const turn = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);

  const half = (/** @type {Place[]} */ list) => {
    /** @type {Place[]} */
    const chain = [];
    for (const place of list) {
      while (chain.length > 1 && turn(chain[chain.length - 2], chain[chain.length - 1], place) <= 0) chain.pop();
      chain.push(place);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}
