// The toolbar above the map.

import { count, el, setText, show } from "../common/dom.js";
import { BY_LABEL, FIXED, MOVING } from "./codes.js";
import { activeFilters } from "./filters.js";
import { checkbox, labeled, segments } from "./widgets.js";

/** @import { ColourBy, DragMode, LayoutKind, MapActions, MapModel } from "./types.d.ts" */

/** @type {[DragMode, string][]} */
const MODES = [["pan", "Move"], ["box", "Box"], ["lasso", "Lasso"]];
/** @type {[LayoutKind, string, string][]} */
const LAYOUTS = [
  [FIXED, "Fixed", "All images, each in its place; only colours change"],
  [MOVING, "Moving", "The tracked images as the round saw them, epoch by epoch"],
];
/** @type {[ColourBy, string][]} */
const COLOURS = [
  [BY_LABEL, "pseudo-label"], ["confidence", "confidence"], ["truth", "true label"], ["changed", "what changed"], ["teacher", "teacher against student"],
];

/**
 * @param {MapModel} model
 * @param {MapActions} actions
 */
export function buildToolbar(model, actions) {
  const layouts = segments(LAYOUTS, "map-layout", "Layout", (kind) => actions.setLayout(kind));
  const modes = segments(MODES, "map-mode", "What dragging does", (mode) => actions.mode(mode));
  modes.press("pan");
  const colour = el("select", { "aria-label": "Colour by", testid: "map-colour" });
  const options = new Map(COLOURS.map(([value, text]) => [value, el("option", { value }, text)]));
  const size = el("input", {
    type: "range", min: "1.5", max: "12", step: "0.5", "aria-label": "Point size", testid: "map-size", class: "size-slider",
  });
  const fade = checkbox("Fade unsure points", "map-fade", (on) => actions.fade(on));
  fade.box.checked = true;
  const filter = el("button", { type: "button", testid: "map-filter", "aria-expanded": "false", onclick: () => actions.toggleFilters() }, "Filter");
  const amount = el("span", { class: "faint amount", testid: "map-count" });
  const node = el("div", { class: "toolbar" }, layouts.node, modes.node,
    el("button", { type: "button", testid: "map-fit", onclick: actions.fit }, "Fit"), labeled("Colour", colour), filter,
    labeled("Size", size), fade.node, amount);

  colour.append(...options.values());
  colour.addEventListener("change", () => actions.colourBy(COLOURS[colour.selectedIndex][0]));
  size.addEventListener("input", () => actions.size(Number(size.value)));

  /**
   * @param {ColourBy} by
   * @param {{ hidden?: boolean, disabled?: boolean }} how
   */
  function setOption(by, how) {
    Object.assign(options.get(by) ?? {}, how);
  }

  return {
    node,
    /**
     * @param {number} radius
     * @param {boolean} filtersShown
     */
    paint(radius, filtersShown) {
      layouts.press(model.plane.kind);
      layouts.disable(MOVING, !actions.canMove() && model.plane.kind !== MOVING, "It needs a round that has recorded an epoch");
      if (actions.focused() !== size) size.value = String(radius);
      colour.value = model.colourBy;
      setOption("truth", { hidden: !model.points?.truth && model.colourBy !== "truth" });
      setOption("confidence", { disabled: !model.epochs });
      setOption("changed", { disabled: !model.epochs });
      setOption("teacher", { hidden: !model.frames?.teacher });
      show(fade.node, model.colourBy === BY_LABEL && model.epochs !== null);
      const active = activeFilters(model.filter);
      setText(filter, active ? `Filter (${active})` : "Filter");
      filter.setAttribute("aria-expanded", String(filtersShown));
      setText(amount, amountWords(model));
    },
  };
}

/** @param {MapModel} model */
function amountWords({ points, shown, present, plane }) {
  if (!points) return "";
  if (plane.kind === MOVING) return `${count(shown)} of ${count(present)} tracked images`;
  if (points.total > points.n) return `${count(shown)} drawn of ${count(points.total)} images`;
  return shown < points.n ? `${count(shown)} of ${count(points.n)} images` : `${count(points.n)} images`;
}
