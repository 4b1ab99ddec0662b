// Controls that several parts of the map use.

import { el } from "../common/dom.js";

export function segments(choices, testid, name, choose) {
  const buttons = choices.map(([value, word, title]) => el("button", {
    type: "button", class: "segment", testid: `${testid}-${value}`, "aria-pressed": "false", title,
    onclick: () => {
      press(value);
      choose(value);
    },
  }, word));
  const press = (value) => choices.forEach(([other], k) => buttons[k].setAttribute("aria-pressed", String(other === value)));
  function disable(value, on, why) {
    const k = choices.findIndex(([other]) => other === value);
    buttons[k].disabled = on;
    buttons[k].title = on ? why : choices[k][2];
  }
  return { disable, node: el("div", { class: "segments", role: "group", "aria-label": name }, ...buttons), press };
}

export function checkbox(text, testid, onChange) {
  const box = el("input", { type: "checkbox", testid, onchange: () => onChange(box.checked) });
  return { box, node: el("label", { class: "inline check" }, box, el("span", {}, text)) };
}
