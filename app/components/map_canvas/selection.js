// The selection: its images as a grid, and one answer for all of them that are not left out.

import { count, el, focusedBeside, isOnControl, isTyping, newUid, setText, show } from "../common/dom.js";
import { messageOf, postJson } from "../common/http.js";
import { createOnScreen } from "../common/on_screen.js";
import { spreadWords } from "../common/words.js";
import { acceptable, addMapClass, batchDecisions, createBatches } from "./batch.js";
import { buildChips, classOfKey } from "./chips.js";
import { UNKNOWN } from "./codes.js";
import { buildNeighbours } from "./neighbours.js";
import { selectionOrders } from "./places.js";
import { buildThumbs, firstShown, MOST_THUMBS } from "./thumbs.js";

/** @import { SelectionAnswer } from "../common/wire.d.ts" */
/** @import { MapActions, MapModel } from "./types.d.ts" */

const ASK_FROM = 2; // selections of this many and more are labeled after one question

/**
 * An answer for all of the selection: the pseudo-labels of the epoch shown, a class, or a class that is not made yet.
 * @typedef {{ kind: "accept" } | { kind: "class", k: number } | { kind: "new", name: string }} Answer
 * @typedef {Answer & { epoch: number }} Asked one that waits for a yes
 */

/**
 * @param {MapModel} model
 * @param {string} base
 * @param {MapActions} actions
 */
export function buildSelection(model, base, actions) {
  /** @type {"unsure" | "sure" | "own"} */
  let sort = "unsure";
  /** @type {Asked | null} */
  let asked = null;
  /** @type {Set<number>} ids left out of the batch */
  let out = new Set();
  /** @type {{ selection: number[] | null, ids: number[] }} */
  let seen = { selection: null, ids: [] };
  let naming = false; // a new class is being made
  let leaving = false; // the selection is on its way to another page

  const title = el("strong", { testid: "map-selected-count" });
  const order = el("select", { "aria-label": "Sort by", testid: "map-selection-sort" },
    el("option", { value: "unsure" }, "least sure first"), el("option", { value: "sure" }, "most sure first"));
  order.addEventListener("change", () => {
    sort = order.value === "own" || order.value === "sure" ? order.value : "unsure";
    paint();
  });
  const own = el("option", { value: "own" });
  const acceptWords = el("span");
  const accept = el("button", {
    type: "button", class: "accept-all", testid: "map-accept-all", onclick: () => ask({ kind: "accept" }),
  }, acceptWords, el("kbd", {}, "a"));
  const review = el("button", { type: "button", testid: "map-to-review", onclick: () => take("review") }, "Review these");
  const files = el("button", { type: "button", testid: "map-to-export", onclick: () => take("export") }, "Export these");
  const chips = buildChips(model, { onPick: (k) => ask({ kind: "class", k }), onNew: nameClass });
  const question = buildQuestion(confirm, cancel);
  const batches = createBatches(model, base, actions, paint);
  const screen = createOnScreen();
  const neighbours = buildNeighbours(model, base, actions, screen);
  const grid = buildThumbs(model, base, actions, { out: () => out, onToggle: paint, onOpen: neighbours.open }, screen);
  const wording = el("p", { class: "faint ask" });
  const aside = el("p", { class: "faint aside", testid: "map-left-out" });
  const use = el("button", { type: "button", class: "quiet", testid: "map-use-all", onclick: useAll }, "Use all again");
  const asideRow = el("div", { class: "aside-row" }, aside, use);
  const body = el("div", { class: "selection-body" },
    el("div", { class: "selection-head" }, title, order,
      el("button", { type: "button", class: "quiet", testid: "map-selection-clear", onclick: actions.clear }, "Clear")),
    el("div", { class: "selection-acts" }, accept, review, files), wording, chips.node, question.node,
    neighbours.node, asideRow, grid.node);
  const hint = el("p", { class: "faint hint" },
    "Draw a box or a lasso, or hold Shift and drag, to see images here and label them together. Click a point for the "
    + "images most like it. Esc clears.");
  const node = el("section", {
    class: "selection", testid: "map-selection", tabindex: "-1", "aria-label": "Selected images", onclick: keepFocus,
  }, batches.node, hint, body);

  /**
   * A mouse click on a button must not take the keys away from the selection.
   * @param {MouseEvent} event
   */
  function keepFocus(event) {
    const button = event.detail && event.target instanceof Element ? event.target.closest("button") : null;
    if (button && focusedBeside(node) === button) focus();
  }

  const focus = () => node.focus({ preventScroll: true });
  // What is hidden by a filter, the legend or the layout is not answered for.
  function batch() {
    const { ids } = model.loaded();
    return model.selection.filter((i) => !model.hidden[i] && !out.has(ids[i]));
  }

  function paint() {
    const amount = model.points ? model.selection.length : 0; // no points while another source is loaded
    if (model.points) follow(model.points.ids);
    if (asked?.kind === "accept" && asked.epoch !== model.epoch) asked = null; // other pseudo-labels than those asked about
    show(hint, !amount && !batches.some());
    show(body, amount > 0);
    batches.paint();
    neighbours.paint();
    if (!amount) {
      grid.clear();
      return;
    }
    const chosen = batch();
    const part = chosen.length < amount ? `${count(chosen.length)} of ` : "";
    setText(title, `${part}${count(amount)} selected`);
    paintActs(chosen);
    chips.paint();
    question.paint(asked && questionWords(model, chosen, asked), batches.busy());
    paintGrid(amount);
  }

  /** @param {number[]} chosen */
  function paintActs(chosen) {
    const { take } = acceptable(model, chosen);
    const some = take.length > 0;
    const words = some && take.length < chosen.length ? `Accept ${count(take.length)}` : "Accept all";
    setText(acceptWords, chosen.length > 1 ? words : "Accept");
    accept.disabled = !some || batches.busy();
    accept.title = some ? "Make the pseudo-labels shown labels (a or Enter)" : "None of these has a pseudo-label to accept";
    review.disabled = files.disabled = leaving || !chosen.length;
    setText(wording, chosen.length > 1 ? "Label all of them as" : "Label it as");
  }

  /** @param {number} amount */
  function paintGrid(amount) {
    show(grid.node, amount > 1);
    show(asideRow, amount > 1);
    show(use, out.size > 0);
    const most = amount > MOST_THUMBS ? `First ${MOST_THUMBS} of ${count(amount)}. ` : "";
    const unseen = model.selection.reduce((sum, i) => sum + model.hidden[i], 0);
    const away = unseen ? `${count(unseen)} not shown now, so left alone. ` : "";
    setText(aside, out.size ? `${most}${away}${count(out.size)} left out.` : `${most}${away}Click leaves an image out.`);
    if (amount > 1) grid.paint(firstShown(model, sort, MOST_THUMBS));
    else grid.clear();
  }

  /**
   * Notices that there is another selection: the question falls, and what was left out is in again unless it only grew.
   * @param {Int32Array} idsOfAll
   */
  function follow(idsOfAll) {
    const { selection } = model;
    if (seen.selection === selection) return;
    const before = seen.ids;
    const ids = selection.map((i) => idsOfAll[i]);
    const have = new Set(ids);
    const kept = before.length > 0 && before.every((id) => have.has(id));
    if (!kept) screen.clear(); // what was on the screen in another selection was not looked at for this one
    const grown = kept && (asked !== null || out.size > 0);
    if (!grown) out = new Set();
    if (!grown || ids.length !== before.length) asked = null;
    if (ids.length) batches.forget();
    seen = { selection, ids };
    const words = selectionOrders.get(selection);
    own.remove();
    setText(own, words || "");
    if (words) order.prepend(own);
    if (words || sort === "own") sort = words ? "own" : "unsure";
    order.value = sort;
    if (!grown) grid.top();
  }

  /**
   * @param {Answer} answer
   * @param {boolean} always asks also for a single image
   */
  function ask(answer, always = false) {
    if (batches.busy() || !model.selection.length) return;
    batches.forget();
    const chosen = answer.kind === "accept" ? acceptable(model, batch()).take : batch();
    if (!chosen.length) {
      const none = answer.kind === "accept" ? "None of these images has a pseudo-label to accept." : "All of these images are left out.";
      batches.say("warn", none);
      return;
    }
    asked = { ...answer, epoch: model.epoch };
    if (chosen.length < ASK_FROM && !always) {
      confirm();
      return;
    }
    paint();
    question.focus();
  }

  function cancel() {
    if (asked === null || batches.busy()) return false;
    asked = null;
    paint();
    focus();
    return true;
  }

  async function confirm() {
    if (asked === null || batches.busy() || naming) return;
    if (asked.kind === "accept") {
      sendAccepted();
    } else if (asked.kind === "class") {
      sendLabeled(asked.k);
    } else {
      const k = await makeClass(asked.name);
      if (asked !== null && k >= 0) sendLabeled(k);
    }
  }

  /**
   * Returns the new class, -1 where it could not be made. It is made with its first labels, not before.
   * @param {string} name
   */
  async function makeClass(name) {
    naming = true;
    try {
      return await addMapClass(model, base, name);
    } catch (error) {
      batches.say("bad", `Not added: ${messageOf(error)}.`);
      return -1;
    } finally {
      naming = false;
    }
  }

  function sendAccepted() {
    const { take, without } = acceptable(model, batch());
    const words = `accepted (${spreadWords(take.map((i) => model.className(model.pseudo(i))), 3)})`;
    sendBatch(take, without, (i) => model.pseudo(i), words);
  }

  /** @param {number} k */
  function sendLabeled(k) {
    sendBatch(batch(), [], () => k, `labeled as “${model.classes[k]}”`);
  }

  /**
   * @param {number[]} take
   * @param {number[]} without an answer: they stay selected, as do those left out
   * @param {(i: number) => number} classOf
   * @param {string} words
   */
  function sendBatch(take, without, classOf, words) {
    if (!take.length) return;
    const { ids } = model.loaded();
    const stay = new Set([...out, ...without.map((i) => ids[i])]);
    const details = { round: model.epochs?.round ?? null, batch: newUid(), seconds: screen.measured() };
    const keep = seen.ids.filter((id) => stay.has(id));
    focus();
    asked = null;
    batches.send(details.batch, batchDecisions(model, take, classOf, details), words, keep);
  }

  /**
   * A name that is a class already means that class.
   * @param {string} name
   * @returns {Answer}
   */
  function answerOf(name) {
    const k = model.classes.indexOf(name.trim().normalize("NFC"));
    return k >= 0 ? { kind: "class", k } : { kind: "new", name: name.trim() };
  }

  /** @param {string} name */
  async function nameClass(name) {
    return () => {
      if (model.selection.length) ask(answerOf(name), true);
    };
  }

  function useAll() {
    out = new Set();
    paint();
  }

  /**
   * Takes the selection, without what was left out, to another page.
   * @param {"review" | "export"} page
   */
  async function take(page) {
    const chosen = batch();
    if (leaving || !chosen.length) return;
    leaving = true;
    batches.say("good", page === "review" ? "Opening the review…" : "Opening the export…");
    const { ids } = model.loaded();
    try {
      const asks = { ids: chosen.map((i) => ids[i]) };
      const answer = /** @type {SelectionAnswer} */ (await postJson(`${base}/map/selection`, asks, { timeout: 60000 }));
      actions.goto(page, { count: answer.count });
      batches.say("good", "");
    } catch (error) {
      batches.say("bad", `The selection could not be taken along: ${messageOf(error)}.`);
    }
    leaving = false;
    paint();
  }

  /**
   * Keys of the map. Returns whether the key meant something here.
   * @param {KeyboardEvent} event
   */
  function obey(event) {
    const withControl = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    const undoing = withControl ? key === "z" && !event.shiftKey && !event.altKey : key === "backspace";
    if (undoing) return batches.canUndo() && !event.repeat ? (batches.undo(), true) : false;
    if (withControl || event.altKey || !model.points || !model.selection.length) return false;
    if (key === "escape") return cancel();
    if (event.repeat) return false;
    const k = classOfKey(model.classes, event);
    if (k >= 0) return (ask({ kind: "class", k }), true);
    if (key === "enter" && !isOnControl(event)) return (asked ? confirm() : ask({ kind: "accept" }), true);
    if (key === "a" && !event.shiftKey) return (ask({ kind: "accept" }), true);
    return false;
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const target = event.composedPath()[0];
    if (event.defaultPrevented || event.isComposing || isTyping(event) || !(target instanceof Element)) return;
    if (document.querySelector("[role=dialog]") || !obey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  return {
    node, paint, onKey, cancel, focus,
    propose: (/** @type {string} */ name) => ask(answerOf(name), true),
    stop: screen.stop,
  };
}

/**
 * What would be recorded, in words.
 * @param {MapModel} model
 * @param {number[]} chosen
 * @param {Answer} asked
 */
function questionWords(model, chosen, asked) {
  if (asked.kind === "accept") {
    const { take, labeled, without } = acceptable(model, chosen);
    const where = model.epochs ? ` at epoch ${model.epochs.epochs[model.epoch]}` : "";
    const one = take.length === 1 ? "the pseudo-label of 1 image" : `the pseudo-labels of ${count(take.length)} images`;
    const text = `Accept ${one}${where}: ${spreadWords(take.map((i) => model.className(model.pseudo(i))), 3)}?`;
    const alone = [labeled && `${count(labeled)} with a label`, without.length && `${count(without.length)} without a pseudo-label`];
    const rest = alone.filter(Boolean).join(" and ");
    return { text: rest ? `${text} Left alone: ${rest}.` : text, yes: "Accept" };
  }
  const { label } = model.loaded();
  const k = asked.kind === "class" ? asked.k : UNKNOWN;
  const labeled = chosen.filter((i) => label[i] >= 0 && label[i] !== k).length;
  const which = asked.kind === "class" ? `“${model.classes[k]}”` : `the new class “${asked.name}”`;
  const text = `Label ${count(chosen.length)} ${chosen.length === 1 ? "image" : "images"} as ${which}?`;
  const have = labeled === 1 ? "has" : "have";
  const warning = labeled ? ` ${count(labeled)} of them ${have} another label now; it will be replaced.` : "";
  return { text: text + warning, yes: "Label" };
}

/**
 * @param {() => void} onYes
 * @param {() => void} onNo
 */
function buildQuestion(onYes, onNo) {
  const text = el("span", {});
  const yes = el("button", { type: "button", class: "solid", testid: "map-confirm-yes", onclick: onYes });
  const no = el("button", { type: "button", testid: "map-confirm-no", onclick: onNo }, "Cancel");
  const node = el("div", { class: "question", hidden: true, role: "group", "aria-label": "Confirm", testid: "map-confirm" },
    text, el("span", { class: "question-buttons" }, yes, no));
  return {
    node,
    focus: () => yes.focus(),
    /**
     * @param {{ text: string, yes: string } | null} words
     * @param {boolean} busy
     */
    paint(words, busy) {
      show(node, words !== null);
      if (words === null) return;
      setText(text, words.text);
      setText(yes, busy ? "Saving…" : words.yes);
      yes.disabled = no.disabled = busy;
    },
  };
}
