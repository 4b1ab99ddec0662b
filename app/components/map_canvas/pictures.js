// "Picture…": the map as a file: all its points by label and pseudo-label, in the layout, at the epoch and in the light or
// dark now on the screen.

import { el, focusedBeside, setText, show } from "../common/dom.js";
import { fetchAnswer, messageOf } from "../common/http.js";

/** @import { LayoutKind, MapActions } from "./types.d.ts" */

/**
 * What is on the screen, which the picture shows.
 * @typedef {{ layout: LayoutKind, round: number | null, epoch: number | null, source: string, dark: boolean }} Showing
 */

const PICTURE_KINDS = [
  ["png", "Still, PNG", "for documents"], ["svg", "Still, SVG", "sharp at any size"],
  ["html", "Page, HTML", "zoom it in a browser"], ["gif", "Animation, GIF", "all epochs"],
];
const PICTURE_WAIT = 300000; // ms

/**
 * The address of a picture; what is not known (no round yet) is left out.
 * @param {string} base
 * @param {string} kind
 * @param {Showing} now
 */
function pictureAddress(base, kind, now) {
  const query = new URLSearchParams({ kind, layout: now.layout, dark: now.dark ? "1" : "0", source: now.source });
  if (now.round !== null) query.set("round", String(now.round));
  if (now.epoch !== null) query.set("epoch", String(now.epoch));
  return `${base}/map/picture?${query}`;
}

/**
 * @param {string} kind
 * @param {Showing} now
 * @param {string | null} disposition what the server calls it
 */
function pictureName(kind, { round, epoch, layout }, disposition) {
  const given = /filename="?([^";]+)"?/i.exec(disposition ?? "");
  if (given) return given[1].replace(/[\\/]/g, "_");
  const parts = ["starling-map", layout === "moving" ? "moving" : null, round !== null ? `round-${round}` : null,
    epoch !== null && kind !== "gif" ? `epoch-${epoch}` : null];
  return `${parts.filter(Boolean).join("-")}.${kind}`;
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 */
async function fetchPicture(url, signal) {
  const answer = await fetchAnswer(url, { signal }, (type) => !type.includes("json"));
  return { blob: await answer.blob(), disposition: answer.headers.get("content-disposition") };
}

/**
 * @param {string} base
 * @param {MapActions} actions
 */
export function buildPictures(base, actions) {
  /** @type {AbortController | null} of the picture being made */
  let running = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let clock;

  const buttons = PICTURE_KINDS.map(([kind, word, about]) => el("button", {
    type: "button", class: "picture-kind", testid: `map-picture-${kind}`, onclick: () => make(kind),
  }, el("span", {}, word), el("span", { class: "faint" }, about)));
  const text = el("span", { role: "status", testid: "map-picture-status" });
  const stop = el("button", {
    type: "button", class: "quiet", testid: "map-picture-cancel", onclick: () => running?.abort(),
  }, "Cancel");
  const close = el("button", { type: "button", class: "quiet", testid: "map-picture-close", onclick: () => say("") }, "Close");
  const status = el("div", { class: "picture-status", hidden: true }, text, stop, close);
  const list = el("div", { class: "picture-list", role: "group", "aria-label": "Kinds of picture" }, ...buttons);
  const what = el("p", { class: "faint" }, "All points, by label and pseudo-label.");
  const menu = el("div", { class: "picture-menu", hidden: true, testid: "map-picture-menu" }, what, list, status);
  const face = el("button", {
    type: "button", testid: "map-picture", "aria-expanded": "false", onclick: () => toggle(menu.hidden === true),
  }, "Picture…");
  const node = el("div", { class: "picture", onkeydown: onKey, onfocusout: onLeave }, face, menu);

  /** @param {boolean} on */
  function toggle(on) {
    show(menu, on);
    const edge = (node.closest(".map") || document.body).getBoundingClientRect().left;
    menu.dataset.side = face.getBoundingClientRect().right - menu.offsetWidth >= edge ? "right" : "left";
    face.setAttribute("aria-expanded", String(on));
    if (on) {
      paint();
      document.addEventListener("pointerdown", onOutside, true);
      document.addEventListener("keydown", onEscape, true);
      buttons[0].focus({ preventScroll: true });
    } else {
      document.removeEventListener("pointerdown", onOutside, true);
      document.removeEventListener("keydown", onEscape, true);
    }
  }

  /** @param {Event} event */
  function onOutside(event) {
    if (!event.composedPath().includes(node)) toggle(false);
  }

  /**
   * Wherever the focus is: a mouse click on a kind has left it on nothing.
   * @param {KeyboardEvent} event
   */
  function onEscape(event) {
    if (event.key !== "Escape") return;
    toggle(false);
    if (!node.isConnected) return;
    face.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {FocusEvent} event */
  function onLeave(event) {
    if (event.relatedTarget instanceof Node && !node.contains(event.relatedTarget)) toggle(false);
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (menu.hidden) return;
    const free = buttons.filter((button) => !button.disabled);
    const at = free.findIndex((button) => button === focusedBeside(node));
    if (event.key === "ArrowDown" && free.length) {
      free[(at + 1) % free.length].focus();
    } else if (event.key === "ArrowUp" && free.length) {
      free[(at - 1 + free.length) % free.length].focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** @returns {Showing} */
  function now() {
    return {
      layout: actions.layout(), round: actions.round(), epoch: actions.epochShown(), source: actions.source(), dark: actions.dark(),
    };
  }

  /** @param {string} kind */
  async function make(kind) {
    if (running) return;
    const state = now();
    running = new AbortController();
    const limit = setTimeout(() => running?.abort("late"), PICTURE_WAIT);
    const { signal } = running;
    const began = performance.now();
    const word = kind.toUpperCase();
    const tick = () => {
      const seconds = Math.round((performance.now() - began) / 1000);
      say(`Making the ${word}…${seconds >= 3 ? ` ${seconds} s` : ""}`, "busy");
    };
    tick();
    clock = setInterval(tick, 1000);
    try {
      const { blob, disposition } = await fetchPicture(pictureAddress(base, kind, state), signal);
      const name = pictureName(kind, state, disposition);
      saveBlob(blob, name);
      say(`Saved ${name}.`, "good");
    } catch (error) {
      if (!signal.aborted) say(`The ${word} could not be made: ${messageOf(error)}`, "bad");
      else say(signal.reason === "late" ? `The ${word} was not ready after five minutes.` : "", "bad");
    }
    clearTimeout(limit);
    clearInterval(clock);
    running = null;
    paint();
  }

  /**
   * @param {string} words
   * @param {string} kind
   */
  function say(words, kind = "") {
    show(status, words !== "");
    setText(text, words);
    status.dataset.kind = kind;
    paint();
  }

  function paint() {
    const busy = running !== null;
    for (const button of buttons) button.disabled = busy;
    const animation = buttons[buttons.length - 1];
    const still = actions.epochShown() === null;
    if (still) animation.disabled = true;
    animation.title = still ? "An animation needs the epochs of a round" : "";
    show(stop, busy);
    show(close, !busy);
    setText(face, busy ? text.textContent : "Picture…");
  }

  return { node };
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function saveBlob(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
