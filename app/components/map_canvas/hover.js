// The card beside the pointer: the image, what it is called now, how its pseudo-label moved over the epochs, and, after
// a short rest, its calibrated probabilities.

import { count, el, percent, setText, show } from "../common/dom.js";
import { fetchJson } from "../common/http.js";
import { pixelate } from "../common/pixels.js";
import { NO_CLASS, UNKNOWN } from "./codes.js";
import { aboutImage, classSwatch } from "./images.js";

const HOVER_WIDTH = 292;
const HOVER_REST = 120; // ms on one point before its probabilities are asked for
const HOVER_KEPT = 500; // answers kept in this page

export function buildHover(model, base, actions) {
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
    if (shown < 0) return;
    paintItem(shown);
    settle();
  });
  let shown = -1;
  let place = null; // {at, area}

  const roundNow = () => actions?.round?.() ?? null;

  function paint(i, at, area) {
    show(node, i >= 0 && model.points !== null);
    if (i < 0 || !model.points) {
      shown = -1;
      asker.want(null);
      return;
    }
    if (i !== shown) {
      shown = i;
      image.classList.remove("pixels");
      image.src = `${base}/thumb/${model.points.ids[i]}`;
    }
    asker.want(model.points.ids[i], roundNow());
    words(i);
    paintItem(i);
    place = { at, area };
    settle();
  }

  function settle() {
    const { at, area } = place;
    const height = node.offsetHeight || 220;
    const x = at[0] + 18 + HOVER_WIDTH > area.clientWidth ? at[0] - HOVER_WIDTH - 18 : at[0] + 18;
    const y = Math.max(6, Math.min(at[1] - 30, area.clientHeight - height - 6));
    node.style.transform = `translate(${Math.max(6, x)}px, ${y}px)`;
  }

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

  function paintTruth(i, k) {
    const known = model.points.truth ? model.points.truth[i] : UNKNOWN;
    show(truth, known !== UNKNOWN);
    if (known === UNKNOWN) return;
    setText(truth, `true class ${model.className(known)}`);
    truth.dataset.right = k === UNKNOWN ? "open" : k === known ? "yes" : "no";
  }

  function paintPair(i) {
    const teacher = model.epochs && model.teacher?.(i, model.epoch);
    const student = model.epochs && model.student?.(i, model.epoch);
    const alone = student && model.points.label[i] >= 0; // a labeled image has no pseudo-label that says it already
    show(pair, Boolean(teacher || alone));
    if (!teacher && !alone) return;
    const side = (word, found) => el("span", {}, el("span", { class: "faint" }, word), classSwatch(model, found.k),
      `${model.className(found.k)} ${percent(found.p)}`);
    pair.replaceChildren(...[teacher && side("teacher", teacher), student && side(teacher ? "student" : "model", student)].filter(Boolean));
  }

  function paintItem(i) {
    const found = asker.known(model.points.ids[i], roundNow());
    setText(file, found?.name || "\u00a0"); // its line is there from the start, so that nothing jumps
    bars.paint(found, model);
  }

  // One column an epoch: colour is the pseudo-label, height its confidence, the notch marks the epoch shown.
  function trajectory(i) {
    const context = strip.getContext("2d");
    const { width, height } = strip;
    const many = model.epochs.epochs.length;
    const step = width / many;
    let changes = 0;
    context.clearRect(0, 0, width, height);
    for (let e = 0; e < many; e += 1) {
      const k = model.pseudo(i, e);
      if (e > 0 && k !== model.pseudo(i, e - 1)) changes += 1;
      if (k === UNKNOWN) continue;
      const tall = Math.max(5, model.confidence(i, e) * (height - 12));
      context.fillStyle = model.classColour(k);
      context.fillRect(e * step, height - 10 - tall, Math.max(1, step - (many > 120 ? 0 : 1.5)), tall);
      if (e === model.epoch) context.fillRect(e * step, height - 7, Math.max(2, step - 1.5), 7);
    }
    const flips = model.flips?.(i) ?? changes;
    setText(moved, flips === 0 ? "never changed" : flips === 1 ? "changed once" : `changed ${count(flips)} times`);
  }

  return { node, paint };
}

// The five most likely classes at the end of the round, calibrated.
function buildHoverBars() {
  const title = el("span", { class: "faint hover-title" });
  const rows = Array.from({ length: 5 }, () => {
    const label = el("span", { class: "bar-name" });
    const fill = el("span", { class: "bar-fill" });
    const value = el("span", { class: "bar-value" });
    const row = el("div", { class: "bar-row" }, label, el("span", { class: "bar-track" }, fill), value);
    return { node: row, label, fill, value };
  });
  const node = el("div", { class: "hover-bars", hidden: true, testid: "map-hover-bars" }, title, ...rows.map((row) => row.node));

  function paint(found, model) {
    const top = found?.top || [];
    show(node, top.length > 0 || Boolean(found?.problem));
    if (found?.problem) setText(title, `probabilities: ${found.problem}`);
    else setText(title, found?.round ? `calibrated, end of round ${found.round}` : "calibrated");
    node.dataset.short = isShortNames(top) ? "yes" : "no";
    rows.forEach((row, at) => {
      show(row.node, at < top.length);
      if (at >= top.length) return;
      const [label, value] = top[at];
      setText(row.label, label);
      setText(row.value, percent(value, value < 0.1 ? 1 : 0));
      row.fill.style.transform = `scaleX(${Math.max(0.005, value)})`;
      const k = model.classes.indexOf(label);
      row.fill.style.background = k >= 0 ? model.classColour(k) : "";
    });
  }
  return { node, paint };
}

function isShortNames(top) {
  return top.every(([label]) => label.length <= 3);
}

// Asks for one image at a time, only after a rest on it; answers are kept.
function createAsker(base, onAnswer, ask = fetchJson) {
  const kept = new Map(); // "round|id" -> the answer, or {problem}
  let wanted = null; // {key, url}
  let timer = 0;
  let flying = false;
  const keyOf = (id, round) => `${round ?? ""}|${id}`;

  function want(id, round) {
    const key = id === null ? null : keyOf(id, round);
    if (key === (wanted?.key ?? null)) return;
    clearTimeout(timer);
    timer = 0;
    const query = round === null || round === undefined ? "" : `?round=${round}`;
    wanted = key === null ? null : { key, url: `${base}/item/${id}${query}` };
    if (wanted && !kept.has(key)) timer = setTimeout(rested, HOVER_REST);
  }

  function rested() {
    timer = 0;
    if (!flying && wanted && !kept.has(wanted.key)) fly(wanted);
  }

  async function fly({ key, url }) {
    flying = true;
    let problem = null;
    try {
      const { name, top, round } = await ask(url, { timeout: 10000 });
      keep(key, { name, top, round });
    } catch (error) {
      problem = { problem: error.message };
      keep(key, problem);
    }
    flying = false;
    if (wanted?.key === key) onAnswer();
    if (problem) setTimeout(() => kept.delete(key), 3000); // then it may be asked again
    if (timer === 0) rested();
  }

  function keep(key, value) {
    kept.set(key, value);
    if (kept.size > HOVER_KEPT) kept.delete(kept.keys().next().value);
  }

  return { want, known: (id, round) => kept.get(keyOf(id, round)) };
}
