// One image and its nearest neighbours in the features of the map's source.

import { el, setText, show } from "../common/dom.js";
import { fetchJson, messageOf } from "../common/http.js";
import { pictureOf, thumbOf } from "../common/pictures.js";
import { pixelate } from "../common/pixels.js";
import { aboutImage, classSwatch, standingWords } from "./image_words.js";
import { inOrder, placesFor, placesOf } from "./places.js";

/** @import { OnScreen } from "../common/on_screen.js" */
/** @import { NeighboursAnswer } from "../common/wire.d.ts" */
/** @import { MapActions, MapModel } from "./types.d.ts" */

const NEIGHBOURS = 12;
const MOST_NEIGHBOURHOODS = 200; // kept in this page

/** @param {number} value */
function distanceWords(value) {
  if (!Number.isFinite(value)) return "";
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2);
}

/**
 * @param {MapModel} model
 * @param {string} base
 * @param {MapActions} actions
 * @param {OnScreen} screen
 */
export function buildNeighbours(model, base, actions, screen) {
  /** @type {Map<string, NeighboursAnswer>} by source and id */
  const known = new Map();
  /** @type {number[][]} selections to go back to, as ids */
  let trail = [];
  /** @type {number | null} id of the image that was opened from here */
  let opened = null;
  let wanted = "";
  let problem = "";
  let painted = "";

  const picture = el("img", { class: "near-picture", alt: "", testid: "map-near-picture" });
  let pictured = -1; // id of the image that it shows
  picture.addEventListener("load", (event) => {
    pixelate(event);
    screen.watch(picture, pictured);
  });
  const name = el("strong", { class: "near-class" });
  const about = el("span", { class: "faint" });
  const back = el("button", { type: "button", testid: "map-neighbours-back", onclick: goBack }, "← Back");
  const all = el("button", { type: "button", testid: "map-neighbours-select", onclick: selectAll });
  const note = el("p", { class: "faint near-note", role: "status" });
  const again = el("button", { type: "button", testid: "map-neighbours-retry", onclick: retry }, "Try again");
  const grid = el("div", { class: "near-grid", role: "group", "aria-label": "Nearest images", testid: "map-neighbours" });
  const words = el("div", { class: "near-words" }, name, about, el("div", { class: "near-buttons" }, back, all));
  const node = el("div", { class: "near", hidden: true, testid: "map-near" },
    el("div", { class: "near-head" }, picture, words), note, again, grid);

  const idOf = (/** @type {number} */ i) => model.loaded().ids[i];
  const keyOf = (/** @type {number} */ i) => `${actions.source()}|${idOf(i)}`;

  function paint() {
    const i = model.points && model.selection.length === 1 ? model.selection[0] : -1;
    show(node, i >= 0);
    if (i < 0 || idOf(i) !== opened) {
      trail = [];
      opened = null;
    }
    if (i < 0) {
      wanted = painted = "";
      return;
    }
    if (wanted !== keyOf(i)) load(i);
    const answer = known.get(keyOf(i));
    const near = answer ? neighboursOf(answer) : [];
    const key = [keyOf(i), model.epoch, Boolean(model.epochs), problem, trail.length, wordsOf(i),
      near.map(([j]) => `${j}:${wordsOf(j)}`).join()].join("|");
    if (key === painted) return;
    painted = key;
    paintHead(i, near.length);
    paintNote(answer !== undefined, near.length);
    grid.replaceChildren(...near.map(([j, distance]) => card(j, distance)));
  }

  /**
   * @param {number} i
   * @param {number} amount of neighbours
   */
  function paintHead(i, amount) {
    const source = pictureOf(base, idOf(i));
    if (picture.getAttribute("src") !== source) {
      screen.unwatch(picture);
      picture.classList.remove("pixels");
      pictured = idOf(i);
      picture.src = source;
    }
    picture.alt = wordsOf(i);
    setText(name, model.className(model.shownClass[i]));
    name.style.setProperty("--swatch", model.classColour(model.shownClass[i]));
    setText(about, aboutImage(model, i));
    show(back, trail.length > 0);
    show(all, amount > 0);
    setText(all, `Select these ${amount + 1}`);
  }

  /**
   * @param {boolean} answered
   * @param {number} amount
   */
  function paintNote(answered, amount) {
    show(again, problem !== "");
    if (problem) setText(note, `The nearest images cannot be shown: ${problem}.`);
    else if (!answered) setText(note, "Looking for the nearest images…");
    else setText(note, amount ? "The images most like it, nearest first" : "There is no other image to compare it with.");
  }

  /**
   * Those on the map, as index and distance.
   * @param {NeighboursAnswer} answer
   */
  function neighboursOf({ ids, distances }) {
    const places = placesOf(model.loaded());
    /** @type {[number, number][]} */
    const near = [];
    ids.forEach((id, at) => {
      const j = places.get(id);
      if (j !== undefined) near.push([j, distances[at]]);
    });
    return near;
  }

  const wordsOf = (/** @type {number} */ i) => `${model.className(model.shownClass[i])}, ${aboutImage(model, i)}`;

  /** @param {number} i */
  async function load(i) {
    const key = keyOf(i);
    wanted = key;
    problem = "";
    if (known.has(key)) return;
    const query = new URLSearchParams({ image: String(idOf(i)), source: actions.source(), k: String(NEIGHBOURS) });
    try {
      known.set(key, /** @type {NeighboursAnswer} */ (await fetchJson(`${base}/map/neighbours?${query}`, { timeout: 60000 })));
      for (const oldest of known.keys()) if (known.size > MOST_NEIGHBOURHOODS) known.delete(oldest);
    } catch (error) {
      if (wanted === key) problem = messageOf(error).replace(/\.$/, "");
    }
    if (wanted === key) paint();
  }

  function retry() {
    wanted = "";
    paint();
  }

  /**
   * @param {number} j
   * @param {number} distance
   */
  function card(j, distance) {
    const near = distanceWords(distance);
    return el("button", {
      type: "button", class: "near-card", testid: "map-neighbour", "data-id": idOf(j), title: wordsOf(j),
      "aria-label": `${wordsOf(j)}, distance ${near}. Show its neighbours`, onclick: () => open(j),
      onmouseenter: () => actions.point(j), onmouseleave: () => actions.point(-1),
    },
    el("img", { src: thumbOf(base, idOf(j)), alt: "", width: 56, height: 56, onload: pixelate }),
    el("span", { class: "near-line" }, classSwatch(model, model.shownClass[j]),
      el("span", { class: "chip-name" }, model.className(model.shownClass[j]))),
    el("span", { class: "near-line faint" }, el("span", {}, standingWords(model, j)),
      el("span", { class: "near-distance", title: "distance" }, near)));
  }

  /**
   * Shows one image with its neighbours; the selection it came from can be gone back to.
   * @param {number} i
   */
  function open(i) {
    trail.push(model.selection.map(idOf));
    opened = idOf(i);
    actions.point(-1);
    actions.select([i]);
  }

  function goBack() {
    const ids = trail.pop();
    if (!ids) return;
    opened = ids.length === 1 ? ids[0] : null;
    actions.select(placesFor(model.loaded(), ids));
  }

  function selectAll() {
    const [i] = model.selection;
    const answer = known.get(keyOf(i));
    if (!answer) return;
    actions.select(inOrder([i, ...neighboursOf(answer).map(([j]) => j)], "nearest first"), true);
    actions.focusSelection();
  }

  return { node, paint, open };
}
