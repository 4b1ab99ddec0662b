// Below the map: play, pause, scrub and speed; the held-out labels right under the scrubber; what changed since an epoch.

import { count, el, inkOf, setText, show } from "../common/dom.js";
import { MOVING } from "./codes.js";
import { checkbox, labeled } from "./widgets.js";

/** @import { Epochs, MapActions, MapModel } from "./types.d.ts" */

const STEPS = new Map([["ArrowLeft", -1], ["ArrowDown", -1], ["ArrowRight", 1], ["ArrowUp", 1]]);
/** @type {[number, string][]} */
const SPEEDS = [[1, "1/s"], [2, "2/s"], [5, "5/s"], [12, "12/s"]];

/**
 * Where the slider stands: a live round's fits differ by the labels they knew.
 * @param {Pick<Epochs, "epochs" | "labels">} epochs
 * @param {number} at
 */
export function momentText({ epochs, labels }, at) {
  const known = labels[at];
  if (known === null || known === undefined) return `epoch ${epochs[at]} of ${epochs.at(-1)}`;
  return `after ${count(known)} ${known === 1 ? "label" : "labels"} of ${count(labels.at(-1) ?? known)}`;
}

/**
 * @param {MapModel} model
 * @param {MapActions} actions
 */
export function buildPlayer(model, actions) {
  let frame = 0;
  let last = 0;
  const play = el("button", { type: "button", class: "play", testid: "map-play", "aria-label": "Play the epochs", onclick: toggle });
  const slider = el("input", {
    type: "range", min: "0", step: "any", class: "epoch-slider", "aria-label": "Epoch", testid: "map-epoch",
    onkeydown: (event) => {
      const step = STEPS.get(event.key);
      if (!step) return;
      event.preventDefault();
      pause();
      actions.moment(Math.max(0, Math.min(most(), model.epoch + step)));
    },
  });
  slider.addEventListener("input", () => {
    pause();
    actions.moment(model.plane.kind === MOVING ? Number(slider.value) : Math.round(Number(slider.value)));
  });
  slider.addEventListener("change", () => actions.moment(Math.round(Number(slider.value))));
  const curve = buildCurve(model, (e) => {
    pause();
    actions.moment(e);
  });
  const where = el("span", { class: "where", testid: "map-epoch-text" });
  const speed = el("select", { "aria-label": "Epochs a second", testid: "map-speed" },
    ...SPEEDS.map(([value, text]) => el("option", { value, selected: value === 2 }, text)));
  const from = el("select", { "aria-label": "Compared with this epoch", testid: "map-ring-from" });
  from.addEventListener("change", () => actions.compare({ since: Number(from.value) }));
  const ring = checkbox("Ring what changed", "map-ring", (on) => actions.compare({ ring: on }));
  const split = checkbox("Side by side", "map-split", (on) => actions.compare({ split: on }));
  const changed = el("span", { class: "changed", testid: "map-changed" });
  const row = el("div", { class: "epoch-row" }, play, el("div", { class: "scrub" }, slider, curve.node), where, speed);
  const compare = el("div", { class: "compare-row" },
    labeled("Compare with epoch", from), ring.node, split.node, changed);
  const none = el("p", { class: "faint none", testid: "map-no-epochs" });
  const node = el("div", { class: "epochs" }, row, compare, none);
  let listed = "";

  const most = () => (model.epochs ? model.epochs.epochs.length - 1 : 0);

  function toggle() {
    if (frame) pause();
    else start();
  }
  function start() {
    if (model.moment >= most()) actions.moment(0);
    last = performance.now();
    frame = requestAnimationFrame(step);
    face();
  }
  function pause() {
    cancelAnimationFrame(frame);
    frame = 0;
    face();
  }
  /**
   * Points glide between two epochs; where only colours change, a moment in between shows nothing new.
   * @param {number} now
   */
  function step(now) {
    const next = Math.min(most(), model.moment + Math.min(0.5, ((now - last) / 1000) * Number(speed.value)));
    last = now;
    actions.moment(next, true);
    if (!frame) return; // paused by what it showed
    if (next >= most()) pause();
    else frame = requestAnimationFrame(step); // after the drawing was asked for, so that both are in every frame
  }
  function face() {
    play.dataset.playing = frame ? "yes" : "no";
    play.setAttribute("aria-label", frame ? "Pause" : "Play the epochs");
  }

  /** @param {string} problem */
  function paint(problem) {
    show(row, model.epochs !== null);
    show(compare, model.epochs !== null);
    show(none, model.epochs === null);
    setText(none, problem || "No pseudo-labels yet: they come with the first epoch of a round. Circles are labels.");
    if (model.epochs === null) {
      pause();
      return;
    }
    const { epochs, labels } = model.epochs;
    const key = epochs.join();
    if (key !== listed) {
      listed = key;
      from.replaceChildren(...epochs.map((epoch, e) => el("option", { value: e }, labels[e] === null ? epoch : `${labels[e]} labels`)));
    }
    from.value = String(model.since);
    ring.box.checked = model.ring;
    split.box.checked = model.split;
    setText(changed, model.ring ? changeWords(model) : "");
    paintMoment();
  }

  function paintMoment() {
    if (!model.epochs) return;
    slider.max = String(most());
    slider.value = String(model.moment);
    const text = momentText(model.epochs, model.epoch);
    slider.setAttribute("aria-valuetext", text);
    setText(where, text);
    curve.paint(model.epochs);
  }
  face();
  return { node, paint, paintMoment, toggle, stop: pause };
}

/** @param {MapModel} model */
function changeWords({ changed, improved, worsened }) {
  const known = improved + worsened > 0 ? `: ${count(improved)} now right, ${count(worsened)} now wrong` : "";
  return `${count(changed)} changed${known}`;
}

/**
 * How many held-out labels are right by epoch, which is no accuracy: they choose. A click goes to the epoch under the pointer.
 * @param {MapModel} model
 * @param {(e: number) => void} goTo
 */
function buildCurve(model, goTo) {
  const canvas = el("canvas", { class: "curve", testid: "map-curve", role: "img", "aria-label": "Held-out labels right by epoch" });
  const words = el("span", { class: "curve-words faint", testid: "map-curve-text" });
  const node = el("div", { class: "curve-box" }, canvas, words);
  const EDGE = 8; // half of the slider's thumb, so that the dot lies under it
  canvas.addEventListener("click", (event) => {
    const { left, width } = canvas.getBoundingClientRect();
    const most = model.epochs ? model.epochs.epochs.length - 1 : 0;
    goTo(Math.max(0, Math.min(most, Math.round(((event.clientX - left - EDGE) / (width - 2 * EDGE)) * most))));
  });

  /** @param {Epochs} epochs */
  function paint({ epochs, heldout }) {
    const shares = heldout.map((one) => one && one[0] / one[1]);
    const known = shares.filter((value) => value !== null);
    show(node, known.length > 0);
    if (!known.length) return;
    const ratio = Math.min(2, globalThis.devicePixelRatio || 1);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const ink = inkOf(canvas);
    const style = getComputedStyle(canvas);
    ink.scale(ratio, ratio);
    const most = Math.max(1, epochs.length - 1);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const x = (/** @type {number} */ e) => EDGE + (e / most) * (width - 2 * EDGE);
    const y = (/** @type {number} */ value) => height - 4 - ((value - low) / Math.max(high - low, 1e-6)) * (height - 8);
    ink.strokeStyle = style.color;
    ink.lineWidth = 1.5;
    ink.beginPath();
    shares.forEach((value, e) => {
      if (value !== null) ink.lineTo(x(e), y(value));
    });
    ink.stroke();
    const [value, now] = [shares[model.epoch], heldout[model.epoch]];
    if (value === null || value === undefined || !now) {
      setText(words, "");
      return;
    }
    ink.fillStyle = style.getPropertyValue("--accent");
    ink.beginPath();
    ink.arc(x(model.epoch), y(value), 4, 0, 2 * Math.PI);
    ink.fill();
    setText(words, `${count(now[0])} of ${count(now[1])} held-out labels right, no accuracy`);
  }
  return { node, paint };
}
