// The toolbar above the map.

import { count, el, setText, show } from "../common/dom.js";
import { BY_LABEL, FIXED, MOVING } from "./codes.js";
import { activeFilters } from "./filters.js";
import { checkbox, segments } from "./widgets.js";

const MODES = [["pan", "Move"], ["box", "Box"], ["lasso", "Lasso"]];
const LAYOUTS = [[FIXED, "Fixed", "All images, each in its place; only colours change"], [MOVING, "Moving", "The tracked images as the round saw them, epoch by epoch"]];
const COLOURS = [
  [BY_LABEL, "pseudo-label"], ["confidence", "confidence"], ["truth", "true label"], ["changed", "what changed"], ["teacher", "teacher against student"],
];

export function buildToolbar(model, actions) {
  const layouts = segments(LAYOUTS, "map-layout", "Layout", (kind) => actions.setLayout(kind));
  const modes = segments(MODES, "map-mode", "What dragging does", (mode) => actions.mode(mode));
  modes.press("pan");
  const colour = el("select", { "aria-label": "Colour by", testid: "map-colour", onchange: () => actions.colourBy(colour.value) },
    ...COLOURS.map(([value, text]) => el("option", { value }, text)));
  const size = el("input", {
    type: "range", min: "1.5", max: "12", step: "0.5", "aria-label": "Point size", testid: "map-size", class: "size-slider",
    oninput: () => actions.size(Number(size.value)),
  });
  const fade = checkbox("Fade unsure points", "map-fade", (on) => actions.fade(on));
  fade.box.checked = true;
  const filter = el("button", { type: "button", testid: "map-filter", "aria-expanded": "false", onclick: () => actions.toggleFilters() }, "Filter");
  const amount = el("span", { class: "faint amount", testid: "map-count" });
  const inline = (text, ...nodes) => el("label", { class: "inline" }, el("span", { class: "faint" }, text), ...nodes);
  const node = el("div", { class: "toolbar" }, layouts.node, modes.node,
    el("button", { type: "button", testid: "map-fit", onclick: actions.fit }, "Fit"), inline("Colour", colour), filter,
    inline("Size", size), fade.node, amount);

  return {
    node,
    paint(radius, filtersShown) {
      layouts.press(model.layout);
      layouts.disable(MOVING, !actions.canMove() && model.layout !== MOVING, "It needs a round that has recorded an epoch");
      if (document.activeElement !== size) size.value = radius;
      colour.value = model.colourBy;
      option(colour, "truth").hidden = !model.points?.truth && model.colourBy !== "truth";
      for (const value of ["confidence", "changed"]) option(colour, value).disabled = !model.epochs;
      option(colour, "teacher").hidden = !model.frames?.teacher;
      show(fade.node, model.colourBy === BY_LABEL && model.epochs !== null);
      const active = activeFilters(model.filter);
      setText(filter, active ? `Filter (${active})` : "Filter");
      filter.setAttribute("aria-expanded", String(filtersShown));
      setText(amount, model.points ? amountWords(model) : "");
    },
  };
}

function amountWords({ points, shown, present, layout }) {
  if (layout === MOVING) return `${count(shown)} of ${count(present)} tracked images`;
  if (points.total > points.n) return `${count(shown)} drawn of ${count(points.total)} images`;
  return shown < points.n ? `${count(shown)} of ${count(points.n)} images` : `${count(points.n)} images`;
}

const option = (select, value) => select.querySelector(`option[value="${value}"]`);
