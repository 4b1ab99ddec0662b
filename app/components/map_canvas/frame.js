// Around the map: what is kept while its page is left, its colours from the theme, and the words over an empty map.

import { cssToRgb, el, setText, show } from "../common/dom.js";
import { MOVING } from "./codes.js";

/** @import { LayoutKind, MapData, MapModel, MapSettings, MapTheme } from "./types.d.ts" */

/**
 * What the person had set when the page was left. `moment`: an epoch, null for the last one; `wanted`: ids selected.
 * @typedef {{ layout: LayoutKind, chosen: boolean, round: number | null, moment: number | null, wanted: number[] }} Whereabouts
 * @typedef {MapSettings & Whereabouts} Remembered
 */

/** @type {Map<string, Remembered>} by base of the routes, for as long as the page lives */
const memory = new Map();

/** @param {number} n points on the map */
export const sizeFor = (n) => (n > 20000 ? 2.5 : n > 6000 ? 3.5 : n > 1200 ? 5 : 6);

/**
 * @param {HTMLElement} map
 * @returns {MapTheme}
 */
export function readMapTheme(map) {
  const style = getComputedStyle(map);
  const line = style.getPropertyValue("--st-text-color").trim() || style.color;
  return {
    background: cssToRgb(style.backgroundColor), ink: cssToRgb(line), line, ground: style.backgroundColor,
    accent: style.getPropertyValue("--st-primary-color").trim() || "#888",
  };
}

export function buildVeil() {
  const text = el("p", { testid: "map-message" }, "Loading the map…");
  const fill = el("span", { class: "veil-fill" });
  const track = el("div", { class: "veil-track", hidden: true }, fill);
  const node = el("div", { class: "veil", role: "status" }, text, track);
  return {
    node,
    hide: () => show(node, false),
    /**
     * @param {string} message
     * @param {number} fraction of the work that is done
     */
    show(message, fraction = 0) {
      show(node, true);
      setText(text, message);
      show(track, fraction > 0);
      fill.style.transform = `scaleX(${fraction})`;
    },
  };
}

/**
 * Takes over what the person had set when the page was left; returns whether the layout was chosen by hand.
 * @param {MapModel} model
 * @param {MapData} data
 */
export function recallMap(model, data) {
  const before = memory.get(data.base);
  if (!before) return false;
  const { layout, chosen, round, moment, ...settings } = before;
  Object.assign(model, settings);
  if (round === data.round) model.resumeAt = moment;
  if (layout === MOVING && data.moving) model.plane.kind = MOVING;
  return chosen;
}

/**
 * @param {MapModel} model
 * @param {MapData} data
 * @param {boolean} chosen whether the layout was chosen by hand
 */
export function rememberMap(model, { base, round }, chosen) {
  const { colourBy, filter, ring, split, since, fade, off, points } = model;
  const last = !model.epochs || model.epoch === model.epochs.epochs.length - 1;
  memory.set(base, {
    colourBy, filter, ring, split, since, fade, off, layout: model.plane.kind, chosen, round, moment: last ? null : model.epoch,
    wanted: points ? model.selection.map((i) => points.ids[i]) : model.wanted,
  });
}
