// The card beside the pointer: the image, what it is called now, how its pseudo-label moved over the epochs, and, after
// a short rest, its most likely classes.

import { count, el, inkOf, setText, show } from "../common/dom.js";
import { fetchJson, messageOf } from "../common/http.js";
import { thumbOf } from "../common/pictures.js";
import { pixelate } from "../common/pixels.js";
import { sureWords } from "../common/words.js";
import { NO_CLASS, UNKNOWN } from "./codes.js";
import { aboutImage, classSwatch } from "./image_words.js";

/** @import { ReviewItem } from "../common/wire.d.ts" */
/** @import { Guess, MapModel, Place } from "./types.d.ts" */

const HOVER_WIDTH = 292;
const HOVER_REST = 120; // ms on one point before its probabilities are asked for
const HOVER_KEPT = 500; // answers kept in this page
const HOVER_FORGET = 3000; // ms after which a failure is forgotten

/**
 * What is known of an image: what the route says of it, or why it does not.
 * @typedef {Pick<ReviewItem, "name" | "top" | "round" | "scale" | "step"> & { problem: "" } | { problem: string }} Known
 */

/**
 * @param {MapModel} model
 * @param {string} base
 * @param {() => number | null} roundNow the round whose probabilities are shown
 */
export function buildHover(model, base, roundNow) {
  const image = el("img", { alt: "", width: 104, height: 104, onload: pixelate });
  const name = el("span", { class: "hover-class" });
  const about = el("span", { class: "faint" });
  const file = el("span", { class: "hover-file faint", testid: "map-hover-name" });
  const truth = el("span", { class: "hover-truth", testid: "map-hover-truth" });
  const pair = el("div", { class: "hover-pair", testid: "map-hover-pair" });
  const strip = el("canvas", { class: "trajectory", width: 480, height: 72 });
  const moved = el("span", { class: "faint", testid: "map-hover-flips" });
  const bars = buildHoverBars();
  const node = el("div", { class: "hover", hidden: true, testid: "map-hover", "aria-hidden": "true" },
    image, el("div", { class: "hover-words" }, name, about, truth, file), pair, strip, moved, bars.node);
  const asker = createAsker(base, () => {
    if (shown < 0 || !place) return;
    paintItem(shown);
    settle(place);
  });
  let shown = -1;
  /** @type {{ at: Place, area: HTMLElement } | null} */
  let place = null;

  /**
   * @param {number} i the point, -1 for none
   * @param {Place} at
   * @param {HTMLElement} area
   */
  function paint(i, at, area) {
    show(node, i >= 0 && model.points !== null);
    if (i < 0 || !model.points) {
      shown = -1;
      asker.want(null, null);
      return;
    }
    if (i !== shown) {
      shown = i;
      image.classList.remove("pixels");
      image.src = thumbOf(base, model.points.ids[i]);
    }
    asker.want(model.points.ids[i], roundNow());
    words(i);
    paintItem(i);
    place = { at, area };
    settle(place);
  }

  /** @param {{ at: Place, area: HTMLElement }} where */
  function settle({ at, area }) {
    const height = node.offsetHeight || 220;
    const x = at[0] + 18 + HOVER_WIDTH > area.clientWidth ? at[0] - HOVER_WIDTH - 18 : at[0] + 18;
    const y = Math.max(6, Math.min(at[1] - 30, area.clientHeight - height - 6));
    node.style.transform = `translate(${Math.max(6, x)}px, ${y}px)`;
  }

  /** @param {number} i */
  function words(i) {
    const k = model.shownClass[i];
    setText(name, model.className(k));
    name.style.setProperty("--swatch", model.classColour(k));
    setText(about, aboutImage(model, i));
    paintTruth(i, k);
    paintPair(i);
    const some = model.epochs !== null && model.epochs.cls.some((row) => row[i] !== NO_CLASS);
    show(strip, some);
    show(moved, some);
    if (some) trajectory(i);
  }

  /**
   * @param {number} i
   * @param {number} k the class shown
   */
  function paintTruth(i, k) {
    const known = model.loaded().truth?.[i] ?? UNKNOWN;
    show(truth, known !== UNKNOWN);
    if (known === UNKNOWN) return;
    setText(truth, `true class ${model.className(known)}`);
    truth.dataset.right = k === UNKNOWN ? "open" : k === known ? "yes" : "no";
  }

  /** @param {number} i */
  function paintPair(i) {
    const teacher = model.epochs && model.teacher(i, model.epoch);
    const student = model.epochs && model.student(i, model.epoch);
    const alone = student !== null && model.loaded().label[i] >= 0; // a labeled image has no pseudo-label that says it already
    show(pair, teacher !== null || alone);
    if (!teacher && !alone) return;
    pair.replaceChildren();
    if (teacher) pair.append(guessed("teacher", teacher));
    if (student) pair.append(guessed(teacher ? "student" : "model", student));
  }

  /**
   * @param {string} word
   * @param {Guess} guess
   */
  function guessed(word, { k }) {
    return el("span", {}, el("span", { class: "faint" }, word), classSwatch(model, k), model.className(k));
  }

  /** @param {number} i */
  function paintItem(i) {
    const known = asker.known(model.loaded().ids[i], roundNow());
    setText(file, (known && "name" in known && known.name) || "\u00a0"); // its line is there from the start, so that nothing jumps
    bars.paint(known, model);
  }

  /**
   * One column an epoch: colour is the pseudo-label, height its confidence, the notch marks the epoch shown.
   * @param {number} i
   */
  function trajectory(i) {
    const context = inkOf(strip);
    const { width, height } = strip;
    const many = model.epochs ? model.epochs.epochs.length : 0;
    const step = width / many;
    context.clearRect(0, 0, width, height);
    for (let e = 0; e < many; e += 1) {
      const k = model.pseudo(i, e);
      if (k === UNKNOWN) continue;
      const tall = Math.max(5, (model.confidence(i, e) ?? 0) * (height - 12));
      context.fillStyle = model.classColour(k);
      context.fillRect(e * step, height - 10 - tall, Math.max(1, step - (many > 120 ? 0 : 1.5)), tall);
      if (e === model.epoch) context.fillRect(e * step, height - 7, Math.max(2, step - 1.5), 7);
    }
    const flips = model.flips(i);
    setText(moved, flips === 0 ? "never changed" : flips === 1 ? "changed once" : `changed ${count(flips)} times`);
  }

  return { node, paint };
}

// The five most likely classes at the end of the round, the first with how sure it is as far as that is measured.
function buildHoverBars() {
  const title = el("span", { class: "faint hover-title" });
  const rows = Array.from({ length: 5 }, () => {
    const label = el("span", { class: "bar-name" });
    const fill = el("span", { class: "bar-fill" });
    const row = el("div", { class: "bar-row" }, label, el("span", { class: "bar-track" }, fill));
    return { node: row, label, fill };
  });
  const node = el("div", { class: "hover-bars", hidden: true, testid: "map-hover-bars" }, title, ...rows.map((row) => row.node));

  /**
   * @param {Known | undefined} known
   * @param {MapModel} model
   */
  function paint(known, model) {
    const item = known && "top" in known ? known : null;
    const top = item?.top ?? [];
    show(node, top.length > 0 || Boolean(known?.problem));
    if (known?.problem) setText(title, `probabilities: ${known.problem}`);
    else setText(title, item?.round ? [`end of round ${item.round}`, standingOf(item)].filter(Boolean).join(" · ") : "");
    node.dataset.short = isShortNames(top) ? "yes" : "no";
    rows.forEach((row, at) => {
      show(row.node, at < top.length);
      if (at >= top.length) return;
      const [label, value] = top[at];
      setText(row.label, label);
      row.fill.style.transform = `scaleX(${Math.max(0.005, value)})`;
      const k = model.classes.indexOf(label);
      row.fill.style.background = k >= 0 ? model.classColour(k) : "";
    });
  }
  return { node, paint };
}

/**
 * How sure the first class is; where that is not written, what has been measured so far.
 * @param {Pick<ReviewItem, "scale" | "step">} item
 */
function standingOf({ scale, step }) {
  return sureWords(scale, step) || (scale?.brief ?? "");
}

/** @param {[string, number][]} top */
function isShortNames(top) {
  return top.every(([label]) => label.length <= 3);
}

/**
 * Asks for one image at a time, only after a rest on it; answers are kept.
 * @param {string} base
 * @param {() => void} onAnswer
 */
function createAsker(base, onAnswer) {
  /** @type {Map<string, Known>} by round and id */
  const answers = new Map();
  /** @type {{ key: string, url: string } | null} */
  let wanted = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let flying = false;
  const keyOf = (/** @type {number} */ id, /** @type {number | null} */ round) => `${round ?? ""}|${id}`;

  /**
   * @param {number | null} id
   * @param {number | null} round
   */
  function want(id, round) {
    const key = id === null ? null : keyOf(id, round);
    if (key === (wanted?.key ?? null)) return;
    clearTimeout(timer);
    timer = undefined;
    const query = round === null ? "" : `?round=${round}`;
    wanted = key === null ? null : { key, url: `${base}/item/${id}${query}` };
    if (wanted && !answers.has(wanted.key)) timer = setTimeout(rested, HOVER_REST);
  }

  function rested() {
    timer = undefined;
    if (!flying && wanted && !answers.has(wanted.key)) fly(wanted);
  }

  /** @param {{ key: string, url: string }} asked */
  async function fly({ key, url }) {
    flying = true;
    try {
      const { name, top, round, scale, step } = /** @type {ReviewItem} */ (await fetchJson(url, { timeout: 10000 }));
      keep(key, { name, top, round, scale, step, problem: "" });
    } catch (error) {
      keep(key, { problem: messageOf(error) });
      setTimeout(() => answers.delete(key), HOVER_FORGET); // then it may be asked again
    }
    flying = false;
    if (wanted?.key === key) onAnswer();
    if (timer === undefined) rested();
  }

  /**
   * @param {string} key
   * @param {Known} known
   */
  function keep(key, known) {
    answers.set(key, known);
    for (const oldest of answers.keys()) if (answers.size > HOVER_KEPT) answers.delete(oldest);
  }

  return {
    want,
    /**
     * @param {number} id
     * @param {number | null} round
     */
    known: (id, round) => answers.get(keyOf(id, round)),
  };
}
