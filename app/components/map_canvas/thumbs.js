// The selection as a grid of small images. A click leaves an image out of the batch, Shift and click a range of them,
// a double click opens its neighbours. One Tab stop: arrows move, Space leaves out, n opens the neighbours.

import { el, setText } from "../common/dom.js";
import { thumbOf } from "../common/pictures.js";
import { pixelate } from "../common/pixels.js";
import { aboutImage, standingWords } from "./image_words.js";

/** @import { OnScreen } from "../common/on_screen.js" */
/** @import { MapActions, MapModel, Points } from "./types.d.ts" */

export const MOST_THUMBS = 200;
const SURENESS_STEPS = 257; // confidences come in steps of 1/255; labels are surer than any of them

/**
 * @param {MapModel} model
 * @param {string} base
 * @param {MapActions} actions
 * @param {object} selection
 * @param {() => Set<number>} selection.out ids left out, changed here
 * @param {() => void} selection.onToggle they changed
 * @param {(i: number) => void} selection.onOpen shows the image's neighbours
 * @param {OnScreen} screen
 */
export function buildThumbs(model, base, actions, { out, onToggle, onOpen }, screen) {
  const node = el("div", {
    class: "thumbs", testid: "map-thumbs", role: "group", onkeydown: onKey,
    "aria-label": "Selected images. Arrow keys move, Space leaves one out, n shows its neighbours.",
  });
  /** @type {Map<number, ReturnType<typeof cell>>} by index */
  let cells = new Map();
  /** @type {number[]} */
  let shown = [];
  /** @type {Points | null} */
  let points = null;
  let anchor = -1; // the image a range starts from
  let stop = -1; // the image that Tab reaches

  const idOf = (/** @type {number} */ i) => model.loaded().ids[i];

  /**
   * Images stay as they are while they are shown, so that the epochs can play beside them.
   * @param {number[]} next indices
   */
  function paint(next) {
    if (points !== model.points) clear();
    points = model.points;
    const wanted = new Set(next);
    for (const [i, { button, image }] of cells) {
      if (wanted.has(i)) continue;
      screen.unwatch(image);
      button.remove();
      cells.delete(i);
    }
    shown = next;
    next.forEach((i, at) => {
      const { button, paint: paintCell } = cells.get(i) ?? added(i);
      if (node.children[at] !== button) node.insertBefore(button, node.children[at] || null);
      paintCell();
    });
    if (!wanted.has(stop)) reach(next[0]);
  }

  /** @param {number} i */
  function added(i) {
    const made = cell(i);
    cells.set(i, made);
    return made;
  }

  /** @param {number} i */
  function cell(i) {
    const swatch = el("span", { class: "swatch" });
    const name = el("span", { class: "chip-name" });
    const value = el("span", { class: "faint" });
    const id = idOf(i);
    const image = el("img", { src: thumbOf(base, id), alt: "", loading: "lazy", width: 64, height: 64, draggable: "false" });
    image.addEventListener("load", (event) => {
      pixelate(event);
      if (image.isConnected) screen.watch(image, id);
    });
    const button = el("button", {
      type: "button", class: "thumb", testid: "map-thumb", role: "checkbox", tabindex: i === stop ? "0" : "-1",
      "data-id": idOf(i), onclick: (event) => press(i, event.shiftKey), ondblclick: () => onOpen(i),
      onmouseenter: () => actions.point(i), onmouseleave: () => actions.point(-1), onfocus: () => reach(i),
    },
    image, el("span", { class: "thumb-line" }, swatch, name, value));
    let painted = "";

    function paintCell() {
      const k = model.shownClass[i];
      const key = [model.className(k), model.classColour(k), standingWords(model, i), out().has(idOf(i))].join("|");
      if (key === painted) return;
      painted = key;
      swatch.style.background = model.classColour(k);
      setText(name, model.className(k));
      setText(value, standingWords(model, i));
      const words = `${model.className(k)}, ${aboutImage(model, i)}`;
      const left = out().has(idOf(i));
      button.title = left ? `${words}. Left out` : words;
      button.setAttribute("aria-label", words);
      button.setAttribute("aria-checked", String(!left));
      button.dataset.out = left ? "yes" : "no";
    }
    return { button, image, paint: paintCell };
  }

  /**
   * @param {number} i
   * @param {boolean} range
   */
  function press(i, range) {
    const set = out();
    const from = range ? shown.indexOf(anchor) : -1;
    if (from >= 0) {
      const to = shown.indexOf(i);
      const leave = set.has(idOf(anchor)); // the range becomes as its first image is
      for (const j of shown.slice(Math.min(from, to), Math.max(from, to) + 1)) mark(set, j, leave);
    } else {
      mark(set, i, !set.has(idOf(i)));
      anchor = i;
    }
    reach(i);
    onToggle();
  }

  /**
   * @param {Set<number>} set
   * @param {number} i
   * @param {boolean} leave it out
   */
  function mark(set, i, leave) {
    if (leave) set.add(idOf(i));
    else set.delete(idOf(i));
  }

  /** @param {number} i */
  function reach(i) {
    cells.get(stop)?.button.setAttribute("tabindex", "-1");
    stop = i;
    cells.get(i)?.button.setAttribute("tabindex", "0");
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = shown.indexOf(stop);
    const row = Math.max(1, getComputedStyle(node).gridTemplateColumns.split(" ").length);
    /** @type {{ [key: string]: number | undefined }} */
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -at, End: shown.length - 1 - at };
    const step = steps[event.key];
    if (step !== undefined) {
      const to = Math.max(0, Math.min(shown.length - 1, at + step));
      cells.get(shown[to])?.button.focus();
    } else if (event.key.toLowerCase() === "n" && at >= 0) {
      onOpen(stop);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function clear() {
    if (!cells.size) return;
    for (const { image } of cells.values()) screen.unwatch(image);
    cells = new Map();
    shown = [];
    anchor = stop = -1;
    node.replaceChildren();
  }

  return { node, paint, clear, top: () => (node.scrollTop = 0) };
}

/**
 * The first `most` images of the selection in the order asked for, without sorting all of them.
 * @param {MapModel} model
 * @param {"unsure" | "sure" | "own"} sort
 * @param {number} most
 */
export function firstShown(model, sort, most) {
  const seen = model.selection.filter((i) => !model.hidden[i]);
  if (sort === "own") return seen.slice(0, most);
  const last = SURENESS_STEPS - 1;
  const { label } = model.loaded();
  const sureness = (/** @type {number} */ i) => (label[i] >= 0 ? last : Math.round((model.confidence(i) ?? 0) * 255));
  return firstBy(seen, sureness, sort === "sure", most);
}

/**
 * The first `most` of a list by a whole number 0 … SURENESS_STEPS - 1; equal ones keep their order. Counts instead of
 * comparing: one pass over the list.
 * @param {number[]} list
 * @param {(i: number) => number} value
 * @param {boolean} largest first, else the smallest
 * @param {number} most
 */
function firstBy(list, value, largest, most) {
  const ranks = Uint16Array.from(list, (i) => (largest ? SURENESS_STEPS - 1 - value(i) : value(i)));
  const starts = new Uint32Array(SURENESS_STEPS + 1);
  for (let at = 0; at < ranks.length; at += 1) starts[ranks[at] + 1] += 1;
  for (let rank = 0; rank < SURENESS_STEPS; rank += 1) starts[rank + 1] += starts[rank];
  /** @type {number[]} */
  const first = new Array(Math.min(most, ranks.length));
  for (let at = 0; at < ranks.length; at += 1) {
    const place = starts[ranks[at]];
    starts[ranks[at]] += 1;
    if (place < first.length) first[place] = list[at];
  }
  return first;
}
