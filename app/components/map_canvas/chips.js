// The classes as chips with their keys, and a new class right beside them.

import { el, focusedBeside, setText, show } from "../common/dom.js";
import { messageOf } from "../common/http.js";
import { classIndexOf, classKeys, FIND_FROM, keyCap } from "../common/keys.js";
import { classSwatch } from "./image_words.js";

/** @import { MapModel } from "./types.d.ts" */

/**
 * The index of the class that a digit key gives, or -1: the same keys as on the review page.
 * @param {string[]} classes
 * @param {KeyboardEvent} event
 */
export function classOfKey(classes, event) {
  const place = classIndexOf(event);
  const name = place === null ? null : classKeys(classes)[place];
  return name === null ? -1 : classes.indexOf(name);
}

/**
 * Makes a class of a name; what it returns is done once the field is closed. Throws words, and then the field stays.
 * @typedef {(name: string) => Promise<() => void>} OnName
 */

/**
 * @param {MapModel} model
 * @param {{ onPick: (k: number) => void, onNew: OnName }} listeners
 */
export function buildChips(model, { onPick, onNew }) {
  const find = el("input", {
    type: "text", class: "chip-find", placeholder: "Find a class", "aria-label": "Find a class", autocomplete: "off",
    spellcheck: "false", testid: "map-class-search", oninput: filter, onkeydown: onFindKey,
  });
  const list = el("div", { class: "chips", role: "group", "aria-label": "Label all selected as" });
  const namer = buildNamer({ word: "New class…", testid: "map-new-class", field: "map-new-class", onName: onNew });
  const node = el("div", { class: "chip-box" }, find, list, namer.node);
  /** @type {string | null} */
  let built = null;
  /** @type {{ name: string, button: HTMLButtonElement, swatch: HTMLElement }[]} */
  let buttons = [];

  function paint() {
    const key = model.classes.join("\u0000");
    if (key !== built) rebuild(key);
    buttons.forEach(({ swatch }, k) => {
      const colour = model.classColour(k);
      if (swatch.dataset.colour === colour) return;
      swatch.dataset.colour = colour;
      swatch.style.background = colour;
    });
  }

  /** @param {string} key */
  function rebuild(key) {
    built = key;
    const keys = classKeys(model.classes);
    buttons = model.classes.map((name, k) => {
      const cap = keyCap(keys.indexOf(name)); // a class named by its key needs no second mark
      const swatch = classSwatch(model, k);
      const button = el("button", {
        type: "button", class: "chip", testid: "map-label-as", "data-class": name, "data-key": cap, title: name,
        onclick: () => onPick(k),
      }, swatch, el("span", { class: "chip-name" }, name), cap && cap !== name ? el("kbd", {}, cap) : null);
      return { name: name.toLowerCase(), button, swatch };
    });
    list.replaceChildren(...buttons.map(({ button }) => button), namer.open);
    show(find, buttons.length >= FIND_FROM);
    filter();
  }

  function filter() {
    const wanted = find.value.trim().toLowerCase();
    for (const { name, button } of buttons) show(button, name.includes(wanted));
  }

  /** @param {KeyboardEvent} event */
  function onFindKey(event) {
    if (event.key === "Escape") find.value = "";
    const first = buttons.findIndex(({ button }) => !button.hidden);
    if (event.key === "Enter" && find.value.trim() && first >= 0) {
      find.value = "";
      onPick(first);
    } else if (event.key !== "Escape") {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    filter();
  }

  return { node, paint };
}

/**
 * A button that turns into a small field for a name.
 * @param {{ word: string, testid: string, field: string, onName: OnName }} of field: first part of the test ids
 */
export function buildNamer({ word, testid, field, onName }) {
  const input = el("input", {
    type: "text", maxlength: "200", placeholder: "Name of the new class", "aria-label": "Name of the new class",
    autocomplete: "off", spellcheck: "false", testid: `${field}-name`,
  });
  const add = el("button", { type: "submit", class: "solid", testid: `${field}-add` }, "Add");
  const problem = el("p", { class: "problem", role: "alert", testid: `${field}-error` });
  const form = el("form", { class: "namer", hidden: true, onsubmit: submit }, input, add,
    el("button", { type: "button", class: "quiet", testid: `${field}-cancel`, onclick: () => toggle(false) }, "Cancel"),
    problem);
  const open = el("button", {
    type: "button", class: "chip chip-new", testid, "aria-expanded": "false", onclick: () => toggle(form.hidden === true),
  }, word);
  let busy = false;

  /** @param {boolean} on */
  function toggle(on) {
    const hadFocus = form.contains(focusedBeside(form));
    show(form, on);
    open.setAttribute("aria-expanded", String(on));
    setText(problem, "");
    if (on) input.focus();
    else input.value = "";
    if (!on && hadFocus) open.focus();
  }

  input.addEventListener("keydown", (event) => {
    event.stopPropagation(); // a name may hold any letter, and Escape leaves the field only
    if (event.key !== "Escape") return;
    event.preventDefault();
    toggle(false);
  });

  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    const name = input.value.trim();
    if (busy) return;
    if (!name) {
      setText(problem, "A class needs a name.");
      input.focus();
      return;
    }
    busy = true;
    add.disabled = true;
    try {
      const after = await onName(name);
      toggle(false);
      after();
    } catch (error) {
      setText(problem, `Not added: ${messageOf(error)}`);
    }
    busy = false;
    add.disabled = false;
  }

  return { node: form, open };
}
