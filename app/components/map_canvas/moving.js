// The line above a moving map: how far it is laid out, what its frames keep of the neighbourhoods, start and cancel.

import { el, percent, setText, show } from "../common/dom.js";
import { MOVING } from "./codes.js";

/** @import { MapActions, MapModel } from "./types.d.ts" */

/**
 * @param {MapModel} model
 * @param {MapActions} actions
 */
export function buildMoving(model, actions) {
  const words = el("span", { testid: "map-moving-text" });
  const fill = el("span", { class: "veil-fill" });
  const track = el("span", { class: "moving-track", hidden: true }, fill);
  const start = el("button", { type: "button", testid: "map-moving-start", onclick: () => actions.tellMoving("start") }, "Lay out the epochs");
  const again = el("button", { type: "button", class: "quiet", testid: "map-moving-again", onclick: () => actions.tellMoving("fresh") }, "Lay out anew");
  const cancel = el("button", { type: "button", class: "quiet", testid: "map-moving-cancel", onclick: () => actions.tellMoving("cancel") }, "Cancel");
  const node = el("div", { class: "moving-line faint", hidden: true, role: "status", testid: "map-moving" }, words, track, start, again, cancel);

  /** @param {string} problem */
  function paint(problem) {
    const on = model.plane.kind === MOVING;
    show(node, on);
    if (!on) return;
    const { frames } = model;
    const status = frames?.status || "none";
    setText(words, problem ? `The moving map cannot be read: ${problem}` : movingWords(model));
    show(track, status === "running");
    fill.style.transform = `scaleX(${frames?.fraction || 0})`;
    show(start, !problem && actions.canMove() && ["none", "failed", "cancelled"].includes(status));
    setText(start, status === "none" ? "Lay out the epochs" : "Go on");
    show(again, status === "ready");
    show(cancel, status === "running");
  }
  return { node, paint };
}

/** @param {MapModel} model */
export function movingWords(model) {
  const { frames } = model;
  if (!frames) return "Asking for the moving map…";
  const laid = frames.epochs.length;
  if (frames.status === "running") return `${frames.stage || "Starting"}…`;
  if (frames.status === "failed") return `The moving map failed: ${frames.error}`;
  if (!laid) return "The moving map follows the tracked images from epoch to epoch, as the round's network sees them.";
  const f = model.plane.frameOf(model.epoch);
  if (frames.repeated[f]) return `Epoch ${frames.epochs[f]} could not be laid out, so the nearest one that could is shown: ${frames.reasons[f]}.`;
  const parts = [];
  if (frames.status === "cancelled") parts.push(`laid out to epoch ${frames.epochs.at(-1)}, then cancelled`);
  if (laid > 1 && frames.moves.slice(1).every((move) => move === 0)) parts.push("this round's features never change: only its colours do");
  else if (f > 0) parts.push(`moved ${percent(frames.moves[f], 1)} of the map's radius since epoch ${frames.epochs[f - 1]}`);
  if (frames.recall[f] !== null) parts.push(`keeps ${percent(frames.recall[f])} of the 10 nearest neighbours`);
  const words = parts.join(" · ");
  return words ? `${words[0].toUpperCase()}${words.slice(1)}.` : "";
}
