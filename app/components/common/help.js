// The list of keys that "h" shows.

import { el } from "./dom.js";

// keys: [what to press, what it does]; parts between " or ", commas and the like are key caps.
export function buildHelp(keys, component, onClose) {
  const rows = keys.map(([presses, what]) => el("div", { class: "help-row" },
    el("span", {}, ...presses.split(/( or | – |, | \+ | \/ )/).map((part, i) => (i % 2 ? part : el("kbd", {}, part)))),
    el("span", {}, what)));
  return el("section", { class: "help", hidden: true, "aria-label": "Keys", testid: `${component}-help-panel` },
    el("div", { class: "help-head" }, el("h3", {}, "Keys"),
      el("button", { type: "button", class: "quiet", onclick: onClose, testid: `${component}-help-close` }, "Close")),
    ...rows, el("p", { class: "faint" }, "Keys rest while you type in a field."));
}
