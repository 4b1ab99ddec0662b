// One answer for many images: what it records, sent as one batch, and taken back as one.

import { count, el, newUid, show } from "../common/dom.js";
import { postJson } from "../common/http.js";
import { UNKNOWN } from "./codes.js";
import { placesFor } from "./images.js";

const MOST_AT_ONCE = 20000; // decisions in one request; a larger batch travels in several, all with the same batch id
const MOST_TO_UNDO = 50;
const BATCH_PATIENCE = 120000; // ms

// Which of the images have a pseudo-label that can be accepted, and why the others are left alone.
export function acceptable(model, indices) {
  const found = { take: [], labeled: 0, without: [] };
  for (const i of indices) {
    if (model.points.label[i] >= 0) found.labeled += 1;
    else if (model.pseudo(i) === UNKNOWN) found.without.push(i);
    else found.take.push(i);
  }
  return found;
}

// The decisions that give each image the class classOf(i).
export function batchDecisions(model, indices, classOf, { round, batch }) {
  const { ids, versions, label } = model.points;
  return indices.map((i) => {
    const k = classOf(i);
    const guess = model.pseudo(i);
    const seen = label[i] < 0 && guess !== UNKNOWN; // the pseudo-label is what the person looked at
    return {
      uid: newUid(), image_id: ids[i], base_version: versions[i], label: model.classes[k], batch, seconds: null,
      action: seen && guess === k ? "accept" : seen || label[i] >= 0 ? "correct" : "label",
      round: seen ? round : null,
      confidence: null, // the map's is of the epoch shown, coarse and not calibrated: not the round's
    };
  });
}

function inChunks(list, size = MOST_AT_ONCE) {
  const chunks = [];
  for (let at = 0; at < list.length; at += size) chunks.push(list.slice(at, at + size));
  return chunks;
}

// Adds a class and returns its index. The server may write the name differently (trimmed, composed).
export async function addMapClass(model, base, name) {
  const before = new Set(model.classes);
  const { classes } = await postJson(`${base}/classes`, { name }, { timeout: 30000 });
  model.addClasses(classes);
  const exact = classes.indexOf(name.trim().normalize("NFC"));
  return exact >= 0 ? exact : classes.findIndex((one) => !before.has(one));
}

// Sends batches one after another and shows in `node` what became of the last one.
export function createBatches(model, base, actions, paint) {
  let outcome = null; // {kind, text, undo?, retry?}
  let busy = false;
  const done = []; // batches that can be taken back, the last one at the end: {batch, ids}
  const node = el("div", { class: "result", hidden: true, role: "status", testid: "map-result" });

  // keep: ids of the images that stay selected, because the answer was not for them.
  async function send(decisions, words, keep = []) {
    const { batch } = decisions[0];
    await go({ batch, words, keep, left: inChunks(decisions), acks: [], total: decisions.length });
  }

  // The same uids are sent again on a retry, so that nothing is recorded twice.
  async function go(job) {
    busy = true;
    outcome = job.left.length > 1 ? { kind: "good", text: `Saving ${count(job.total)} labels…` } : null;
    paint();
    try {
      while (job.left.length) {
        const { acks } = await postJson(`${base}/decisions`, { decisions: job.left[0] }, { timeout: BATCH_PATIENCE });
        job.left.shift();
        job.acks.push(...acks);
        model.learn(acks.map((ack) => ack.state).filter(Boolean));
      }
      settle(job);
    } catch (error) {
      const saved = recorded(job).length;
      if (saved) remember(job);
      const some = saved ? `Saved ${count(saved)} of ${count(job.total)}; the rest is not saved: ` : "Not saved: ";
      outcome = { kind: "bad", text: `${some}${error.message}.`, undo: saved ? undo : null, retry: () => go(job) };
    }
    busy = false;
    actions.changed();
  }

  const recorded = (job) => job.acks.filter((ack) => ack.status === "saved" || ack.status === "duplicate");

  function remember(job) {
    const ids = recorded(job).map((ack) => ack.state?.image_id).filter((id) => id !== undefined);
    const known = done.find((one) => one.batch === job.batch);
    if (known) known.ids = ids;
    else done.push({ batch: job.batch, ids });
    if (done.length > MOST_TO_UNDO) done.shift();
  }

  function settle(job) {
    const saved = recorded(job).length;
    const rest = job.acks.length - saved;
    const refused = job.acks.find((ack) => ack.status === "refused");
    let text = `Saved: ${count(saved)} ${job.words}.`;
    if (rest) text += ` ${count(rest)} were left alone, ${refused ? refused.message : "changed meanwhile"}.`;
    if (saved) remember(job);
    outcome = { kind: rest ? "warn" : "good", text, undo: saved ? undo : null };
    if (!rest) actions.select(placesFor(model.points, job.keep));
    actions.saved();
  }

  // Takes back the last batch and shows its images again, for a better answer.
  async function undo() {
    if (busy || !done.length) return;
    await takeBack(done.at(-1), newUid());
  }

  async function takeBack(last, uid) {
    busy = true;
    outcome = { kind: "good", text: "Taking back…" };
    paint();
    try {
      const { acks } = await postJson(`${base}/undo`, { uid, target: last.batch }, { timeout: BATCH_PATIENCE });
      done.splice(done.indexOf(last), 1);
      model.learn(acks.map((ack) => ack.state).filter(Boolean));
      const kept = acks.filter((ack) => ack.status === "conflict").length;
      const text = `Took back ${count(acks.length - kept)} labels.`;
      const stay = kept ? ` ${count(kept)} were changed since and stay.` : "";
      outcome = { kind: kept ? "warn" : "good", text: text + stay };
      actions.select(placesFor(model.points, last.ids));
      actions.saved();
    } catch (error) {
      outcome = { kind: "bad", text: `Not taken back: ${error.message}.`, retry: () => takeBack(last, uid) };
    }
    busy = false;
    actions.changed();
  }

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
    node.replaceChildren(...[el("span", {}, text),
      back && resultButton("map-batch-undo", "Undo", back, { title: "Ctrl+Z or Backspace" }),
      retry && resultButton("map-batch-retry", "Try again", () => outcome?.retry?.()),
      resultButton("map-result-close", "Close", () => say("good", ""), { class: "quiet" }),
    ].filter(Boolean));
  }

  return {
    node, send, undo, say,
    paint: paintResult,
    busy: () => busy,
    some: () => outcome !== null,
    canUndo: () => done.length > 0 && !busy,
    // Words of a batch that is over do not belong to the next one.
    forget: () => (outcome = busy ? outcome : null),
  };
}

function resultButton(testid, word, onclick, props = {}) {
  return el("button", { type: "button", testid, onclick, ...props }, word);
}
