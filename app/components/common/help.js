// The list of keys that "h" shows.

import { el } from "./dom.js";

/**
 * @param {[string, string][]} keys what to press, with what it does; what " or ", commas and the like divide are key caps
 * @param {string} component for the test ids
 * @param {() => void} onClose
 */
export function buildHelp(keys, component, onClose) {
  const rows = keys.map(([presses, what]) => el("div", { class: "help-row" },
    el("span", {}, ...presses.split(/( or | – |, | \+ | \/ )/).map((part, i) => (i % 2 ? part : el("kbd", {}, part)))),
    el("span", {}, what)));
  return el("section", { class: "help", hidden: true, "aria-label": "Keys", testid: `${component}-help-panel` },
    el("div", { class: "help-head" }, el("h3", {}, "Keys"),
      el("button", { type: "button", class: "quiet", onclick: onClose, testid: `${component}-help-close` }, "Close")),
    ...rows, el("p", { class: "faint" }, "Keys rest while you type in a field."));
}
