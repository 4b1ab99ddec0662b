// Mouse, pen, finger and keys on the map: pan, zoom, hover, box and lasso.

import { inkOf } from "../common/dom.js";

/** @import { DragMode, MapActions, Place } from "./types.d.ts" */

/** @type {Map<string, Place>} what the arrow keys move the map by */
const STEPS = new Map([["ArrowLeft", [60, 0]], ["ArrowRight", [-60, 0]], ["ArrowUp", [0, 60]], ["ArrowDown", [0, -60]]]);
const CLICK_SLACK = 4; // pixels a press may wander and still be a click

/**
 * A press of the pointer, and what it does when it moves.
 * @typedef {{ kind: DragMode, start: Place, last: Place, path: Place[], moved: boolean, add: boolean }} Press
 */

/**
 * @param {HTMLElement} area
 * @param {HTMLCanvasElement} overlay
 * @param {MapActions} actions
 */
export function watchPointer(area, overlay, actions) {
  /** @type {DragMode} */
  let mode = "pan";
  /** @type {Press | null} */
  let press = null;
  const ink = inkOf(overlay);

  /**
   * @param {MouseEvent} event
   * @returns {Place}
   */
  function place(event) {
    const frame = area.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  /** @param {PointerEvent} event */
  function onDown(event) {
    if (event.button > 1) return;
    area.setPointerCapture(event.pointerId);
    area.focus({ preventScroll: true });
    const at = place(event);
    const kind = event.button === 1 ? "pan" : event.shiftKey ? (mode === "box" ? "box" : "lasso") : mode;
    press = { kind, start: at, last: at, path: [at], moved: false, add: event.ctrlKey || event.metaKey };
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  function onMove(event) {
    const at = place(event);
    if (!press) {
      actions.hover(at);
      return;
    }
    press.moved ||= Math.hypot(at[0] - press.start[0], at[1] - press.start[1]) > CLICK_SLACK;
    if (!press.moved) return;
    actions.hover(null);
    if (press.kind === "pan") actions.pan(at[0] - press.last[0], at[1] - press.last[1]);
    else if (press.kind === "lasso") press.path.push(at);
    press.last = at;
    if (press.kind !== "pan") drawSelection(press);
  }

  /** @param {PointerEvent} event */
  function onUp(event) {
    if (!press) return;
    const done = press;
    press = null;
    clear();
    if (!done.moved) actions.click(done.start, event.shiftKey || done.add);
    else if (done.kind !== "pan") actions.enclose(outline(done), done.add);
  }

  /**
   * @param {Press} press
   * @returns {Place[]}
   */
  function outline({ kind, start, last, path }) {
    return kind === "lasso" ? path : [start, [last[0], start[1]], last, [start[0], last[1]]];
  }

  function clear() {
    ink.clearRect(0, 0, overlay.width, overlay.height);
  }

  /** @param {Press} drawn */
  function drawSelection(drawn) {
    const ratio = overlay.width / overlay.clientWidth;
    clear();
    ink.save();
    ink.scale(ratio, ratio);
    ink.beginPath();
    outline(drawn).forEach(([x, y]) => ink.lineTo(x, y));
    ink.closePath();
    const { accent } = actions.theme();
    ink.fillStyle = accent;
    ink.globalAlpha = 0.14;
    ink.fill();
    ink.globalAlpha = 1;
    ink.strokeStyle = accent;
    ink.lineWidth = 1.5;
    ink.stroke();
    ink.restore();
  }

  /** @param {WheelEvent} event */
  function onWheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    actions.zoom(Math.exp(-event.deltaY * lines * 0.0016), place(event));
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const step = STEPS.get(event.key);
    /** @type {Place} */
    const middle = [area.clientWidth / 2, area.clientHeight / 2];
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") actions.selectAll();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (step) actions.pan(...step);
    else if (event.key === "+" || event.key === "=") actions.zoom(1.3, middle);
    else if (event.key === "-") actions.zoom(1 / 1.3, middle);
    else if (event.key === "0" || event.key === "f") actions.fit();
    else if (event.key === " ") actions.play();
    else return;
    event.preventDefault();
  }

  area.addEventListener("pointerdown", onDown);
  area.addEventListener("pointermove", onMove);
  area.addEventListener("pointerup", onUp);
  area.addEventListener("pointercancel", () => {
    press = null;
    clear();
  });
  area.addEventListener("pointerleave", () => actions.hover(null));
  area.addEventListener("wheel", onWheel, { passive: false });
  area.addEventListener("keydown", onKey);

  return {
    /** @param {DragMode} next */
    setMode: (next) => {
      mode = next;
      area.dataset.mode = next;
    },
    cancel() {
      const busy = press !== null && press.kind !== "pan";
      press = busy ? null : press;
      clear();
      return busy;
    },
  };
}
