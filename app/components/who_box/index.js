// The name this browser's decisions carry. It lives in a cookie, so that every request to Starling brings it along.

import { el, releaseAfterClick, setText, show, watchTheme } from "../common/dom.js";
import { mountedOnce } from "../common/mounts.js";

/** @import { Given } from "../common/mounts.js" */

const WHO_LENGTH = 60;
const WHO_SECONDS = 365 * 24 * 3600;
const WHO_NONE = "local";

/** @typedef {{ cookie: string, name: string }} WhoData */

/** @param {string} cookie its name */
function readWho(cookie) {
  const pair = document.cookie.split("; ").find((one) => one.startsWith(`${cookie}=`));
  try {
    return pair ? decodeURIComponent(pair.slice(cookie.length + 1)) : "";
  } catch {
    return ""; // written by something else
  }
}

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
  const form = el("form", { hidden: true }, input, el("button", { type: "submit", class: "solid" }, "Set"));
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
    input.value = readWho(current.data.cookie);
    toggle(true);
    input.focus();
  }

  /** @param {string} name */
  function keep(name) {
    const age = name && name !== WHO_NONE ? WHO_SECONDS : 0;
    document.cookie = `${current.data.cookie}=${encodeURIComponent(name)}; path=/; max-age=${age}; SameSite=Strict`;
    toggle(false);
    paint();
    current.setTriggerValue("who", name || WHO_NONE);
  }

  function paint() {
    setText(shown, readWho(current.data.cookie) || WHO_NONE);
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
