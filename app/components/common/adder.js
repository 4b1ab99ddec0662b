// A new class by its name, beside the classes there are.

import { el, setText, show } from "./dom.js";
import { messageOf } from "./http.js";

/**
 * @param {string} component for the test ids
 * @param {(name: string) => Promise<void>} addClass throws words where the class cannot be made; the field then stays
 */
export function buildAdder(component, addClass) {
  const input = el("input", {
    type: "text", maxlength: "200", placeholder: "Name of the new class", "aria-label": "Name of the new class",
    testid: `${component}-new-class-name`, autocomplete: "off",
  });
  const problem = el("p", { class: "problem", role: "alert", testid: `${component}-new-class-error` });
  const form = el("form", { class: "adder", hidden: true },
    input, el("button", { type: "submit", class: "solid", testid: `${component}-new-class-add` }, "Add"),
    el("button", { type: "button", class: "quiet", testid: `${component}-new-class-cancel`, onclick: () => toggle(false) }, "Cancel"),
    problem);
  const open = el("button", {
    type: "button", class: "quiet add-class", testid: `${component}-new-class`, onclick: () => toggle(true),
  }, "+ New class");

  /** @param {boolean} on */
  function toggle(on) {
    show(form, on);
    show(open, !on);
    setText(problem, "");
    input.value = "";
    if (on) input.focus();
  }
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") toggle(false);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = input.value.trim();
    if (!name) {
      setText(problem, "A class needs a name.");
      return;
    }
    try {
      await addClass(name);
      toggle(false);
    } catch (error) {
      setText(problem, `Not added: ${messageOf(error)}`);
    }
  });
  return el("div", { class: "add" }, open, form);
}
