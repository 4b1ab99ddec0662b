// The row of controls that says which points are shown.

import { count, el, setText, show } from "../common/dom.js";
import { activeFilters, CALM } from "./filters.js";
import { checkbox, labeled } from "./widgets.js";

/** @import { Filter, MapActions, MapModel } from "./types.d.ts" */

/** @type {[Filter["pool"], string][]} */
const POOLS = [["all", "all"], ["unlabeled", "unlabeled"], ["labeled", "labeled"]];

/**
 * @param {MapModel} model
 * @param {MapActions} actions
 */
export function buildFilters(model, actions) {
  const set = (/** @type {Partial<Filter>} */ change) => actions.filter({ ...model.filter, ...change });
  const pool = el("select", { "aria-label": "Which images", testid: "map-filter-pool" },
    ...POOLS.map(([value, text]) => el("option", { value }, text)));
  const flips = el("input", {
    type: "number", min: "0", max: "999", step: "1", value: "0", class: "small-number", "aria-label": "Changed class at least so many times",
    testid: "map-filter-flips",
  });
  const joined = el("select", { "aria-label": "Joined this class", testid: "map-filter-joined" });
  const below = el("input", {
    type: "range", min: "0.05", max: "1", step: "0.05", value: "1", "aria-label": "Confidence below", testid: "map-filter-below",
  });
  const belowText = el("span", { class: "faint below" });
  const differs = checkbox("teacher differs", "map-filter-differs", (on) => set({ differs: on }));
  const amount = el("span", { class: "filter-count", testid: "map-filter-count" });
  const clear = el("button", { type: "button", class: "quiet", testid: "map-filter-clear", onclick: () => actions.filter({ ...CALM }) }, "Clear filters");
  const withEpochs = el("span", { class: "filter-group" },
    labeled("Changed at least", flips, el("span", { class: "faint" }, "×")), labeled("Joined", joined), labeled("Confidence below", below, belowText), differs.node);
  const node = el("div", { class: "filters", hidden: true, testid: "map-filters" }, labeled("Show", pool), withEpochs, amount, clear);
  let built = "";
  pool.addEventListener("change", () => set({ pool: POOLS[pool.selectedIndex][0] }));
  flips.addEventListener("input", () => set({ flips: Math.max(0, Math.floor(Number(flips.value) || 0)) }));
  joined.addEventListener("change", () => set({ joined: joined.value === "" ? null : Number(joined.value) }));
  below.addEventListener("input", () => set({ below: Number(below.value) }));

  function paint() {
    if (!model.points) return;
    const key = model.classes.join("\u0000");
    if (key !== built) {
      built = key;
      joined.replaceChildren(el("option", { value: "" }, "any class"), ...model.classes.map((name, k) => el("option", { value: k }, name)));
    }
    const { filter } = model;
    show(withEpochs, model.epochs !== null);
    show(differs.node, Boolean(model.frames?.teacher));
    pool.value = filter.pool;
    if (actions.focused() !== flips) flips.value = String(filter.flips);
    joined.value = filter.joined === null ? "" : String(filter.joined);
    below.value = String(filter.below);
    differs.box.checked = filter.differs;
    setText(belowText, filter.below < 1 ? "" : "off"); // the place says how far; the number is only the model's own
    setText(amount, `${count(model.shown)} of ${count(model.present)} shown`);
    show(clear, activeFilters(filter) > 0);
  }
  return { node, paint };
}
