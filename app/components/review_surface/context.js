// Beside the image in front: its nearest labeled images and its pseudo-label over the epochs; nothing where it is asked
// blind. Fetched for many images ahead at once, kept by image; a server that has none only leaves the place empty.

import { el, show, svgPart } from "../common/dom.js";
import { postJson } from "../common/http.js";
import { thumbOf } from "../common/pictures.js";
import { isPixelArt } from "../common/pixels.js";

/** @import { ContextAnswer, ImageContext, Neighbour, ReviewItem } from "../common/wire.d.ts" */
/** @import { Look } from "./session.js" */

export const CONTEXT_AHEAD = 20; // images asked for at once
const CONTEXT_REFILL = 10; // fewer than this many known ahead: ask again
const CONTEXT_KEPT = 500;
const CONTEXT_PATIENCE = 30000; // ms until a server that gave none is asked again
const NEIGHBOURS_SHOWN = 5;
const PATH_POINTS = 200;

/**
 * @param {string} base
 * @param {() => void} onNew
 */
export function createContexts(base, onNew) {
  /** @type {Map<number, ImageContext | null>} by image, null where the server knows none */
  const known = new Map();
  /** @type {number | null} */
  let round = null;
  let generation = 0;
  let asking = false;
  let restUntil = 0;

  /** @param {number[]} ids */
  async function ask(ids) {
    asking = true;
    const mine = generation;
    try {
      const answer = /** @type {ContextAnswer} */ (await postJson(`${base}/context`, { ids, round }));
      if (mine !== generation) return;
      for (const id of ids) known.set(id, null);
      for (const context of answer.contexts || []) known.set(context.image_id, context);
      for (const id of known.keys()) {
        if (known.size <= CONTEXT_KEPT) break;
        known.delete(id); // the oldest first
      }
    } catch {
      if (mine !== generation) return;
      restUntil = performance.now() + CONTEXT_PATIENCE;
    }
    asking = false;
    onNew();
  }

  return {
    /** @param {number | undefined} id */
    of: (id) => (id === undefined ? null : known.get(id) ?? null),
    /**
     * Asks for what is missing of these images, the one in front first, once few of them are known.
     * @param {number[]} ids
     */
    want(ids) {
      if (asking || performance.now() < restUntil) return;
      const ahead = ids.slice(0, CONTEXT_AHEAD);
      if (ahead.slice(0, CONTEXT_REFILL).every((id) => known.has(id))) return;
      ask(ahead.filter((id) => !known.has(id)));
    },
    /** @param {number | null} number */
    start(number) {
      generation += 1;
      asking = false;
      restUntil = 0;
      known.clear();
      round = number;
    },
    stop() {
      generation += 1;
      asking = true;
    },
  };
}

/** @param {string} base */
export function buildContext(base) {
  const nearTitle = el("h3", { class: "context-title" }, "Nearest labeled images");
  const near = el("div", { class: "near", testid: "review-neighbours" });
  const pathTitle = el("h3", { class: "context-title" }, "Pseudo-label over the epochs");
  const path = el("div", { class: "path", testid: "review-trajectory" });
  const node = el("section", { class: "context", hidden: true, testid: "review-context" },
    nearTitle, near, pathTitle, path);
  /** @type {ReviewItem | null} */
  let shownItem = null;
  /** @type {ImageContext | null} */
  let shownContext = null;

  /** @param {Look} look */
  function paint({ card, context }) {
    const item = card?.item || null;
    if (item === shownItem && context === shownContext) return;
    shownItem = item;
    shownContext = context;
    const told = item?.blind ? null : context; // what others say of it would sway who is asked
    const neighbours = (told?.neighbours || []).slice(0, NEIGHBOURS_SHOWN);
    const epochs = told?.epochs || [];
    for (const one of [nearTitle, near]) show(one, neighbours.length > 0);
    for (const one of [pathTitle, path]) show(one, epochs.length > 0);
    show(node, neighbours.length > 0 || epochs.length > 0);
    near.replaceChildren(...(item ? neighbours.map((one) => neighbourCard(one, item, base)) : []));
    path.replaceChildren(...(told && epochs.length ? [trajectory(told), el("p", {}, trajectoryWords(told))] : []));
  }
  return { node, paint };
}

/**
 * @param {Neighbour} neighbour
 * @param {ReviewItem} item
 * @param {string} base
 */
function neighbourCard({ image_id, label, distance }, item, base) {
  const differs = item.prediction !== null && label !== item.prediction;
  const words = differs ? `${label}, not the prediction ${item.prediction}` : label;
  return el("figure", {
    class: "near-card", "data-differs": differs ? "yes" : "no", testid: "review-neighbour",
    title: `${words} · distance ${distance.toPrecision(3)}`,
  },
  el("img", { src: thumbOf(base, image_id), alt: words, draggable: "false", class: isPixelArt(item) ? "pixels" : null }),
  el("figcaption", {}, differs ? `≠ ${label}` : label));
}

/**
 * The stretches of equal pseudo-labels, with the places of their first and last epoch.
 * @param {string[]} labels
 */
export function stretches(labels) {
  /** @type {{ label: string, from: number, to: number }[]} */
  const runs = [];
  labels.forEach((label, at) => {
    const last = runs.at(-1);
    if (last?.label === label) last.to = at;
    else runs.push({ label, from: at, to: at });
  });
  return runs;
}

/** @param {ImageContext} context */
function trajectoryWords({ epochs, pseudo_labels: labels }) {
  const runs = stretches(labels);
  const last = runs[runs.length - 1];
  if (runs.length === 1) return `${last.label} in every epoch`;
  const before = [...new Set(runs.slice(0, -1).reverse().map((one) => one.label))];
  const shown = before.slice(0, 3).join(", ") + (before.length > 3 ? "…" : "");
  return `${last.label} since epoch ${epochs[last.from]}, before that ${shown}`;
}

/**
 * One cell an epoch, filled where the pseudo-label is the final one; the line is its confidence, full height 100 %.
 * @param {ImageContext} context
 */
function trajectory({ epochs, pseudo_labels: labels, confidences }) {
  const width = epochs.length;
  const svg = svgPart("svg", {
    viewBox: `0 0 ${width} 1`, preserveAspectRatio: "none", role: "img", "aria-label": "Pseudo-label over the epochs",
  });
  for (const { label, from, to } of stretches(labels)) {
    const same = label === labels.at(-1) ? "same" : "other";
    svg.append(svgPart("rect", { class: same, x: from, y: 0, width: to - from + 1, height: 1 }));
  }
  const step = Math.ceil(width / PATH_POINTS);
  const points = confidences.map((value, at) => [at + 0.5, 1 - value]).filter((_, at) => at % step === 0 || at === width - 1);
  svg.append(svgPart("polyline", { points: points.map((point) => point.join(",")).join(" ") }));
  return svg;
}
