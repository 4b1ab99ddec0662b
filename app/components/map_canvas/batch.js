// One answer for many images: what it records, sent as one batch, and taken back as one.

import { isRecorded } from "../common/acks.js";
import { count, el, newUid, show } from "../common/dom.js";
import { messageOf, postJson } from "../common/http.js";
import { whoNow } from "../common/who.js";
import { UNKNOWN } from "./codes.js";
import { placesFor } from "./places.js";

/** @import { Ack, ClassesAnswer, Decision, DecisionsAnswer, UndoAnswer } from "../common/wire.d.ts" */
/** @import { MapActions, MapModel } from "./types.d.ts" */

const MOST_AT_ONCE = 20000; // decisions in one request; a larger batch travels in several, all with the same batch id
const MOST_TO_UNDO = 50;
const BATCH_PATIENCE = 120000; // ms

/**
 * Which of the images have a pseudo-label that can be accepted, and why the others are left alone.
 * @param {MapModel} model
 * @param {number[]} indices
 */
export function acceptable(model, indices) {
  /** @type {number[]} */
  const take = [];
  /** @type {number[]} */
  const without = [];
  const { label } = model.loaded();
  let labeled = 0;
  for (const i of indices) {
    if (label[i] >= 0) labeled += 1;
    else if (model.pseudo(i) === UNKNOWN) without.push(i);
    else take.push(i);
  }
  return { take, labeled, without };
}

/**
 * The decisions that give each image a class.
 * @param {MapModel} model
 * @param {number[]} indices
 * @param {(i: number) => number} classOf
 * @param {{ round: number | null, batch: string, seconds: (id: number) => number }} of `seconds`: on the screen
 * @returns {Decision[]}
 */
export function batchDecisions(model, indices, classOf, { round, batch, seconds }) {
  const { ids, versions, label } = model.loaded();
  const actor = whoNow();
  return indices.map((i) => {
    const k = classOf(i);
    const guess = model.pseudo(i);
    const seen = label[i] < 0 && guess !== UNKNOWN; // the pseudo-label is what the person looked at
    return {
      uid: newUid(), image_id: ids[i], base_version: versions[i], label: model.classes[k], batch, seconds: null,
      seen_seconds: seconds(ids[i]), actor,
      action: seen && guess === k ? "accept" : seen || label[i] >= 0 ? "correct" : "label",
      round: seen ? round : null,
      confidence: null, // the map's is of the epoch shown, coarse and not calibrated: not the round's
    };
  });
}

/** @param {Decision[]} list */
function inChunks(list) {
  const size = MOST_AT_ONCE;
  const chunks = [];
  for (let at = 0; at < list.length; at += size) chunks.push(list.slice(at, at + size));
  return chunks;
}

/**
 * Adds a class and returns its index. The server may write the name differently (trimmed, composed).
 * @param {MapModel} model
 * @param {string} base
 * @param {string} name
 */
export async function addMapClass(model, base, name) {
  const before = new Set(model.classes);
  const { classes } = /** @type {ClassesAnswer} */ (await postJson(`${base}/classes`, { name }, { timeout: 30000 }));
  model.addClasses(classes);
  const exact = classes.indexOf(name.trim().normalize("NFC"));
  return exact >= 0 ? exact : classes.findIndex((one) => !before.has(one));
}

/**
 * A batch on its way: the requests left, what was answered, and the images that stay selected.
 * @typedef {{ batch: string, words: string, keep: number[], left: Decision[][], acks: Ack[], total: number }} Job
 * @typedef {{ batch: string, ids: number[] }} Done
 * @typedef {{ kind: "good" | "warn" | "bad", text: string, undo?: (() => void) | null, retry?: () => void }} Outcome
 */

/**
 * Sends batches one after another and shows in `node` what became of the last one.
 * @param {MapModel} model
 * @param {string} base
 * @param {MapActions} actions
 * @param {() => void} paint
 */
export function createBatches(model, base, actions, paint) {
  /** @type {Outcome | null} */
  let outcome = null;
  let busy = false;
  /** @type {Done[]} batches that can be taken back, the last one at the end */
  const done = [];
  const node = el("div", { class: "result", hidden: true, role: "status", testid: "map-result" });

  /**
   * @param {string} batch
   * @param {Decision[]} decisions
   * @param {string} words what they are
   * @param {number[]} keep ids of the images that stay selected, because the answer was not for them
   */
  async function send(batch, decisions, words, keep) {
    await go({ batch, words, keep, left: inChunks(decisions), acks: [], total: decisions.length });
  }

  /**
   * The same uids are sent again on a retry, so that nothing is recorded twice.
   * @param {Job} job
   */
  async function go(job) {
    busy = true;
    outcome = job.left.length > 1 ? { kind: "good", text: `Saving ${count(job.total)} labels…` } : null;
    paint();
    try {
      while (job.left.length) {
        const asks = { decisions: job.left[0] };
        const { acks } = /** @type {DecisionsAnswer} */ (
          await postJson(`${base}/decisions`, asks, { timeout: BATCH_PATIENCE }));
        job.left.shift();
        job.acks.push(...acks);
        learn(acks);
      }
      settle(job);
    } catch (error) {
      const saved = recorded(job).length;
      if (saved) remember(job);
      const some = saved ? `Saved ${count(saved)} of ${count(job.total)}; the rest is not saved: ` : "Not saved: ";
      outcome = { kind: "bad", text: `${some}${messageOf(error)}.`, undo: saved ? undo : null, retry: () => go(job) };
    }
    busy = false;
    actions.changed();
  }

  /** @param {Ack[]} acks */
  const learn = (acks) => model.learn(acks.map((ack) => ack.state).filter((state) => state !== null));
  const recorded = (/** @type {Job} */ job) => job.acks.filter(isRecorded);

  /** @param {Job} job */
  function remember(job) {
    const ids = recorded(job).map((ack) => ack.state?.image_id).filter((id) => id !== undefined);
    const known = done.find((one) => one.batch === job.batch);
    if (known) known.ids = ids;
    else done.push({ batch: job.batch, ids });
    if (done.length > MOST_TO_UNDO) done.shift();
  }

  /** @param {Job} job */
  function settle(job) {
    const saved = recorded(job).length;
    const rest = job.acks.length - saved;
    const refused = job.acks.find((ack) => ack.status === "refused");
    let text = `Saved: ${count(saved)} ${job.words}.`;
    if (rest) text += ` ${count(rest)} were left alone, ${refused ? refused.message : "changed meanwhile"}.`;
    if (saved) remember(job);
    outcome = { kind: rest ? "warn" : "good", text, undo: saved ? undo : null };
    if (!rest) actions.select(placesFor(model.loaded(), job.keep));
    actions.saved();
  }

  // Takes back the last batch and shows its images again, for a better answer.
  async function undo() {
    const last = done.at(-1);
    if (!busy && last) await takeBack(last, newUid(), whoNow());
  }

  /**
   * @param {Done} last
   * @param {string} uid
   * @param {string} actor
   */
  async function takeBack(last, uid, actor) {
    busy = true;
    outcome = { kind: "good", text: "Taking back…" };
    paint();
    try {
      const asks = { uid, target: last.batch, actor };
      const { acks } = /** @type {UndoAnswer} */ (await postJson(`${base}/undo`, asks, { timeout: BATCH_PATIENCE }));
      done.splice(done.indexOf(last), 1);
      learn(acks);
      const stayed = acks.filter((ack) => ack.status === "conflict").length;
      const text = `Took back ${count(acks.length - stayed)} labels.`;
      const stay = stayed ? ` ${count(stayed)} were changed since and stay.` : "";
      outcome = { kind: stayed ? "warn" : "good", text: text + stay };
      actions.select(placesFor(model.loaded(), last.ids));
      actions.saved();
    } catch (error) {
      outcome = { kind: "bad", text: `Not taken back: ${messageOf(error)}.`, retry: () => takeBack(last, uid, actor) };
    }
    busy = false;
    actions.changed();
  }

  /**
   * @param {Outcome["kind"]} kind
   * @param {string} text
   */
  function say(kind, text) {
    outcome = text ? { kind, text } : null;
    paint();
  }

  function paintResult() {
    show(node, outcome !== null);
    if (!outcome) return;
    const { kind, text, undo: back, retry } = outcome;
    node.dataset.kind = kind;
    const key = [kind, text, Boolean(back), Boolean(retry)].join("|");
    if (node.dataset.key === key) return;
    node.dataset.key = key;
    node.replaceChildren(el("span", {}, text));
    if (back) node.append(resultButton("map-batch-undo", "Undo", back, { title: "Ctrl+Z or Backspace" }));
    if (retry) node.append(resultButton("map-batch-retry", "Try again", () => outcome?.retry?.()));
    node.append(resultButton("map-result-close", "Close", () => say("good", ""), { class: "quiet" }));
  }

  return {
    node, send, undo, say,
    paint: paintResult,
    busy: () => busy,
    some: () => outcome !== null,
    canUndo: () => done.length > 0 && !busy,
    // Words of a batch that is over do not belong to the next one.
    forget() {
      if (!busy) outcome = null;
    },
  };
}

/**
 * @param {string} testid
 * @param {string} word
 * @param {() => void} onclick
 * @param {{ title?: string, class?: string }} props
 */
function resultButton(testid, word, onclick, props = {}) {
  return el("button", { type: "button", testid, onclick, ...props }, word);
}
