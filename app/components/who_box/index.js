// Shows the name that this browser's decisions carry, and lets it be changed.

import { el, releaseAfterClick, setText, show, watchTheme } from "../common/dom.js";
import { mountedOnce } from "../common/mounts.js";
import { WHO_NONE, givenName, keepName, whoNow } from "../common/who.js";

/** @import { Given } from "../common/mounts.js" */

const WHO_LENGTH = 60;
/** @typedef {{ name: string, reserved: string[] }} WhoData `reserved`: names in lower case that nobody may take */

/**
 * @param {HTMLElement} parent
 * @param {Given<WhoData>} first
 */
function mountWho(parent, first) {
  let current = first;
  const shown = el("strong", { testid: "who-name" });
  const change = el("button", { type: "button", class: "quiet", testid: "who-change", onclick: open,
    title: "The name under which your decisions are recorded" }, "Labeling as ", shown);
  const input = el("input", { type: "text", maxlength: WHO_LENGTH, "aria-label": "Your name", testid: "who-input" });
  const problem = el("p", { class: "problem", role: "alert", testid: "who-problem" });
  const form = el("form", { hidden: true }, input, el("button", { type: "submit", class: "solid" }, "Set"), problem);
  const node = el("div", { class: "surface who" }, change, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep(input.value.trim());
  });
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") toggle(false);
  });
  parent.append(node);
  releaseAfterClick(node);
  watchTheme(node);

  /** @param {boolean} editing */
  function toggle(editing) {
    show(form, editing);
    show(change, !editing);
  }

  function open() {
    input.value = givenName();
    setText(problem, "");
    toggle(true);
    input.focus();
  }

  /** @param {string} name */
  function keep(name) {
    if (current.data.reserved.includes(name.toLowerCase())) {
      setText(problem, `Nobody can be called “${name}”: it would say that no person decided.`);
      return;
    }
    keepName(name);
    toggle(false);
    paint();
    current.setTriggerValue("who", name || WHO_NONE);
  }

  function paint() {
    setText(shown, whoNow());
  }

  paint();
  return {
    /** @param {Given<WhoData>} next */
    update(next) {
      current = next;
      paint();
    },
    remove: () => node.remove(),
  };
}

export default mountedOnce(mountWho);
