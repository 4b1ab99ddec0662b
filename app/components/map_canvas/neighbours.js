// One image and its nearest neighbours in the features of the map's source.

import { el, setText, show } from "../common/dom.js";
import { fetchJson } from "../common/http.js";
import { pixelate } from "../common/pixels.js";
import { aboutImage, classSwatch, inOrder, placesFor, placesOf, sureWords } from "./images.js";

const NEIGHBOURS = 12;
const MOST_NEIGHBOURHOODS = 200; // kept in this page

function distanceWords(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "";
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toPrecision(2);
}

export function buildNeighbours(model, base, actions) {
  const known = new Map(); // "source|id" -> {ids, distances}
  let trail = []; // selections to go back to, as ids
  let opened = null; // id of the image that was opened from here
  let wanted = "";
  let problem = "";
  let painted = "";

  const picture = el("img", { class: "near-picture", alt: "", onload: pixelate, testid: "map-near-picture" });
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

  const keyOf = (i) => `${actions.source() ?? ""}|${model.points.ids[i]}`;

  function paint() {
    const i = model.points && model.selection.length === 1 ? model.selection[0] : -1;
    show(node, i >= 0);
    if (i < 0 || model.points.ids[i] !== opened) {
      trail = [];
      opened = null;
    }
    if (i < 0) {
      wanted = painted = "";
      return;
    }
    if (wanted !== keyOf(i)) load(i);
    const found = known.get(keyOf(i));
    const near = found ? neighboursOf(found) : [];
    const key = [keyOf(i), model.epoch, Boolean(model.epochs), problem, trail.length, wordsOf(i),
      near.map(([j]) => `${j}:${wordsOf(j)}`).join()].join("|");
    if (key === painted) return;
    painted = key;
    paintHead(i, near.length);
    paintNote(found, near.length);
    grid.replaceChildren(...near.map(([j, distance]) => card(j, distance)));
  }

  function paintHead(i, amount) {
    const source = `${base}/image/${model.points.ids[i]}`;
    if (picture.getAttribute("src") !== source) {
      picture.classList.remove("pixels");
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

  function paintNote(found, amount) {
    show(again, problem !== "");
    if (problem) setText(note, `The nearest images cannot be shown: ${problem}.`);
    else if (!found) setText(note, "Looking for the nearest images…");
    else setText(note, amount ? "The images most like it, nearest first" : "There is no other image to compare it with.");
  }

  const neighboursOf = ({ ids, distances }) => {
    const places = placesOf(model.points);
    return ids.map((id, at) => [places.get(id), distances[at]]).filter(([j]) => j !== undefined);
  };

  const wordsOf = (i) => `${model.className(model.shownClass[i])}, ${aboutImage(model, i)}`;

  async function load(i) {
    const key = keyOf(i);
    wanted = key;
    problem = "";
    if (known.has(key)) return;
    const query = new URLSearchParams({ image: model.points.ids[i], source: actions.source() ?? "", k: NEIGHBOURS });
    try {
      const found = await fetchJson(`${base}/map/neighbours?${query}`, { timeout: 60000 });
      known.set(key, { ids: found.ids || [], distances: found.distances || [] });
      if (known.size > MOST_NEIGHBOURHOODS) known.delete(known.keys().next().value);
    } catch (error) {
      if (wanted === key) problem = error.message.replace(/\.$/, "");
    }
    if (wanted === key) paint();
  }

  function retry() {
    wanted = "";
    paint();
  }

  function card(j, distance) {
    const near = distanceWords(distance);
    return el("button", {
      type: "button", class: "near-card", testid: "map-neighbour", "data-id": model.points.ids[j], title: wordsOf(j),
      "aria-label": `${wordsOf(j)}, distance ${near}. Show its neighbours`, onclick: () => open(j),
      onmouseenter: () => actions.point(j), onmouseleave: () => actions.point(-1),
    },
    el("img", { src: `${base}/thumb/${model.points.ids[j]}`, alt: "", width: 56, height: 56, onload: pixelate }),
    el("span", { class: "near-line" }, classSwatch(model, model.shownClass[j]),
      el("span", { class: "chip-name" }, model.className(model.shownClass[j]))),
    el("span", { class: "near-line faint" }, el("span", {}, sureWords(model, j)),
      el("span", { class: "near-distance", title: "distance" }, near)));
  }

  // Shows one image with its neighbours; the selection it came from can be gone back to.
  function open(i) {
    trail.push(Array.from(model.selection, (j) => model.points.ids[j]));
    opened = model.points.ids[i];
    actions.point(-1);
    actions.select([i]);
  }

  function goBack() {
    const ids = trail.pop();
    if (!ids) return;
    opened = ids.length === 1 ? ids[0] : null;
    actions.select(placesFor(model.points, ids));
  }

  function selectAll() {
    const [i] = model.selection;
    const found = known.get(keyOf(i));
    if (!found) return;
    actions.select(inOrder([i, ...neighboursOf(found).map(([j]) => j)], "nearest first"), true);
    actions.focusSelection?.();
  }

  return { node, paint, open };
}
