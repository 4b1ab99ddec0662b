// Regions of the map that look like nothing labeled: cards that offer to select them or to make a class of them.

import { count, el, percent, setText, show } from "../common/dom.js";
import { fetchJson, messageOf, statusOf } from "../common/http.js";
import { thumbOf } from "../common/pictures.js";
import { pixelate } from "../common/pixels.js";
import { buildNamer } from "./chips.js";
import { inOrder, placesFor } from "./places.js";

/** @import { Region, RegionsAnswer } from "../common/wire.d.ts" */
/** @import { MapActions, MapModel, Points } from "./types.d.ts" */

const REGION_THUMBS = 12;
const REGION_CARDS = 3; // shown before "Show all"

/**
 * A region with its key, and the indices of its images among the points it was last looked at with: typical ones first.
 * @typedef {Region & { key: string, indices: number[] }} Flagged
 */

/**
 * @param {string} source
 * @param {Region} region
 */
function regionKey(source, { ids, size }) {
  return [source, size, ...ids.slice(0, 5).sort((a, b) => a - b)].join(":");
}

/**
 * “9” 61 %, “4” 20 %: what the model calls the images of a region.
 * @param {[string, number][]} called
 */
function calledWords(called) {
  return called.slice(0, 3).map(([name, share]) => `“${name}” ${percent(share)}`).join(", ");
}

/**
 * Keys of dismissed regions, for as long as the browser's tab lives.
 * @param {string} base
 */
function dismissedRegions(base) {
  const name = `starling.regions|${base}`;
  /** @type {Set<string>} */
  let keys;
  try {
    keys = new Set(JSON.parse(sessionStorage.getItem(name) || "[]"));
  } catch {
    keys = new Set(); // a browser without storage forgets them with the page
  }
  return {
    /** @param {string} key */
    has: (key) => keys.has(key),
    /**
     * @param {string} key
     * @param {boolean} on
     */
    change(key, on) {
      if (on) keys.add(key);
      else keys.delete(key);
      try {
        sessionStorage.setItem(name, JSON.stringify([...keys].slice(-200)));
      } catch {
        return; // kept in this page only
      }
    },
  };
}

/**
 * @param {MapModel} model
 * @param {string} base
 * @param {MapActions} actions
 */
export function buildRegions(model, base, actions) {
  const dismissed = dismissedRegions(base);
  /** @type {Flagged[]} as the route gave them */
  let regions = [];
  let problem = "";
  let asking = 0;
  let every = false;
  /** @type {Map<string, ReturnType<typeof buildRegion>>} by key */
  let cards = new Map();
  /** @type {Points | null} */
  let points = null;
  let painted = "";

  const list = el("div", { class: "region-list" });
  const note = el("p", { class: "faint", role: "status", testid: "map-regions-problem" });
  const more = el("button", { type: "button", class: "quiet", testid: "map-regions-more", onclick: () => {
    every = !every;
    paint();
  } });
  const back = el("button", { type: "button", class: "quiet", testid: "map-regions-restore", onclick: restore });
  const node = el("section", { class: "regions", hidden: true, testid: "map-regions", "aria-label": "Unlike anything labeled" },
    list, note, el("div", { class: "region-foot" }, more, back));

  /**
   * Fetches the regions of a source and round. Older answers that come late are dropped.
   * @param {string} source
   * @param {number | null} round
   */
  async function load(source, round) {
    asking += 1;
    const mine = asking;
    const query = new URLSearchParams({ source });
    if (round !== null) query.set("round", String(round));
    try {
      const answer = /** @type {RegionsAnswer} */ (await fetchJson(`${base}/map/regions?${query}`, { timeout: 120000 }));
      if (mine !== asking) return;
      regions = answer.regions.map((region) => ({ ...region, key: regionKey(source, region), indices: [] }));
      points = null;
      problem = "";
    } catch (error) {
      if (mine !== asking) return;
      regions = [];
      problem = statusOf(error) === 404 ? "" : messageOf(error); // 404: no such map yet, which the page says itself
    }
    cards = new Map();
    painted = "";
    paint();
  }

  // The regions in view.
  function current() {
    if (!model.points) return [];
    const { label } = model.points;
    if (points !== model.points) {
      points = model.points;
      cards = new Map();
      for (const region of regions) region.indices = placesFor(points, region.ids);
    }
    return regions.filter((region) => !dismissed.has(region.key) && region.indices.some((i) => label[i] < 0));
  }

  function paint() {
    const open = current();
    const away = regions.filter((region) => dismissed.has(region.key)).length;
    const shown = open.slice(0, every ? open.length : REGION_CARDS);
    show(node, open.length > 0 || problem !== "" || away > 0);
    setText(note, problem ? `Regions unlike anything labeled cannot be looked for: ${problem}` : "");
    show(note, problem !== "");
    show(more, open.length > REGION_CARDS);
    setText(more, every ? "Show fewer" : `Show all ${open.length}`);
    show(back, away > 0);
    setText(back, `Show ${count(away)} dismissed`);
    const key = shown.map((region) => region.key).join("|");
    if (key !== painted || shown.some((region) => !cards.has(region.key))) {
      painted = key;
      list.replaceChildren(...shown.map((region) => cardOf(region).node));
    }
    for (const region of shown) cardOf(region).paint();
  }

  /** @param {Flagged} region */
  function cardOf(region) {
    const card = cards.get(region.key) ?? buildRegion(model, base, actions, region, dismiss);
    cards.set(region.key, card);
    return card;
  }

  /** @param {Flagged} region */
  function dismiss(region) {
    dismissed.change(region.key, true);
    actions.changed();
  }

  function restore() {
    for (const region of regions) dismissed.change(region.key, false);
    actions.changed();
  }

  return { node, load, paint, regions: current };
}

/**
 * @param {MapModel} model
 * @param {string} base
 * @param {MapActions} actions
 * @param {Flagged} region
 * @param {(region: Flagged) => void} onDismiss
 */
function buildRegion(model, base, actions, region, onDismiss) {
  const { size } = region;
  const { ids, label } = model.loaded(); // another card is made for other points
  const facts = el("p", { class: "faint region-facts" });
  const namer = buildNamer({ word: "New class…", testid: "map-region-new", field: "map-region", onName: nameRegion });
  const choose = el("button", { type: "button", testid: "map-region-select", onclick: select }, "Select");
  const first = region.indices.slice(0, REGION_THUMBS);
  const thumbs = el("div", { class: "region-thumbs", "aria-hidden": "true" }, ...first.map((i) => el("img", {
    src: thumbOf(base, ids[i]), alt: "", width: 34, height: 34, loading: "lazy", onload: pixelate,
    onmouseenter: () => actions.point(i), onmouseleave: () => actions.point(-1),
  })));
  const amount = `${count(size)} ${size === 1 ? "image" : "images"}`;
  const node = el("article", { class: "region", testid: "map-region", "aria-label": `Unlike anything labeled: ${amount}` },
    el("div", { class: "region-head" },
      el("strong", {}, "Unlike anything labeled"), el("span", { class: "region-size", testid: "map-region-size" }, amount),
      el("button", {
        type: "button", class: "quiet region-close", testid: "map-region-dismiss", title: "Dismiss until this tab is closed",
        "aria-label": "Dismiss this region", onclick: () => onDismiss(region),
      }, "×")),
    region.reason ? el("p", { class: "region-reason", testid: "map-region-reason" }, region.reason) : null, facts, thumbs,
    el("div", { class: "region-acts" }, choose, namer.open), namer.node);

  function paint() {
    const labeled = region.indices.filter((i) => label[i] >= 0).length;
    const called = calledWords(region.called);
    const words = [labeled > region.labeled && `${count(labeled)} labeled by now`, called && !region.reason.includes("calls them") && `called ${called}`,
      region.indices.length < size && `${count(region.indices.length)} of them among the points shown`];
    show(facts, words.some(Boolean));
    setText(facts, words.filter(Boolean).join(" · "));
  }

  function select() {
    actions.point(-1);
    actions.select(inOrder(placesFor(model.loaded(), region.ids), "typical first"), true);
    actions.focusSelection();
  }

  /**
   * The class is proposed; nothing is made or labeled before the question under the selection is answered.
   * @param {string} name
   */
  async function nameRegion(name) {
    return () => {
      select();
      actions.propose(name);
    };
  }

  return { node, paint };
}
