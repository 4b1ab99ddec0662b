// Controls that several parts of the map use.

import { el } from "../common/dom.js";

/**
 * One of a few choices, side by side.
 * @template {string} Value
 * @param {[Value, string, string?][]} choices value, word, title
 * @param {string} testid
 * @param {string} name for those who do not see it
 * @param {(value: Value) => void} choose
 */
export function segments(choices, testid, name, choose) {
  const buttons = choices.map(([value, word, title]) => el("button", {
    type: "button", class: "segment", testid: `${testid}-${value}`, "aria-pressed": "false", title,
    onclick: () => {
      press(value);
      choose(value);
    },
  }, word));

  /** @param {Value} value */
  function press(value) {
    choices.forEach(([other], k) => buttons[k].setAttribute("aria-pressed", String(other === value)));
  }
  /**
   * @param {Value} value
   * @param {boolean} on
   * @param {string} why
   */
  function disable(value, on, why) {
    const k = choices.findIndex(([other]) => other === value);
    buttons[k].disabled = on;
    buttons[k].title = on ? why : choices[k][2] ?? "";
  }
  return { disable, node: el("div", { class: "segments", role: "group", "aria-label": name }, ...buttons), press };
}

/**
 * @param {string} text
 * @param {string} testid
 * @param {(on: boolean) => void} onChange
 */
export function checkbox(text, testid, onChange) {
  const box = el("input", { type: "checkbox", testid });
  box.addEventListener("change", () => onChange(box.checked));
  return { box, node: el("label", { class: "inline check" }, box, el("span", {}, text)) };
}

/**
 * A control with words before it.
 * @param {string} text
 * @param {HTMLElement[]} nodes
 */
export function labeled(text, ...nodes) {
  return el("label", { class: "inline" }, el("span", { class: "faint" }, text), ...nodes);
}
