// Batches on their way to the ledger, one after another, and what takes them back. Their uids are made of the batch's
// uid and the image's id, so that sending one again records nothing twice.

import { isRecorded } from "../common/acks.js";
import { newUid } from "../common/dom.js";
import { createDurableQueue, onePerBase } from "../common/durable_queue.js";
import { postJson, statusOf } from "../common/http.js";
import { whoNow } from "../common/who.js";

/** @import { DurableQueue, Encoding, Kept } from "../common/durable_queue.js" */
/** @import { Ack, Action, Decision, DecisionsAnswer, UndoAnswer } from "../common/wire.d.ts" */

const GRID_PART = 20000; // decisions in one request after the server refused all of them in one
const GRID_UNDO_STEPS = 50;
const GRID_PATIENCE = 300000; // ms
/** @type {readonly Action[]} */
export const GRID_ACTIONS = ["accept", "correct", "reject", "label"];

/**
 * A batch as columns, which keeps 50,000 answers under localStorage's limit. `actions`: one digit an image, a place in
 * GRID_ACTIONS; `given`: places in `labels`, -1 without one; `seconds`: how long each tile was on the screen, and `actor`: who
 * answered, both left out by an earlier version; `part`: how many travel in one request.
 * @typedef {{ kind: "decide", batch: string, round: number | null, labels: string[], ids: number[], versions: number[],
 *   actions: string, given: number[], confidence: (number | null)[], seconds?: number[], part?: number,
 *   actor?: string }} BatchContent
 * @typedef {BatchContent & Kept} Batch
 * @typedef {{ kind: "undo", batch: string, uid: string, target: string, actor?: string } & Kept} BatchUndo
 * @typedef {Batch | BatchUndo} Job
 * @typedef {{ id: number, version: number, action: Action, label: string | null, confidence: number | null,
 *   seconds: number }} Answer
 * @typedef {{ type: "status" } | { type: "acks", job: Batch, acks: Ack[] } | { type: "undone", job: BatchUndo, acks: Ack[] }
 *   | { type: "dropped", job: Batch } | { type: "refused", job: Job, message: string }} SenderEvent
 * @typedef {ReturnType<typeof createGridSender>} GridSender
 */

export const gridSenderFor = onePerBase(createGridSender);

/**
 * @param {Answer[]} answers
 * @param {{ round: number | null, batch: string }} of
 * @returns {BatchContent}
 */
export function gridJob(answers, { round, batch }) {
  const labels = [...new Set(answers.map((one) => one.label).filter((label) => label !== null))];
  const place = new Map(labels.map((label, k) => [label, k]));
  return {
    kind: "decide", batch, round, labels, ids: answers.map((one) => one.id), versions: answers.map((one) => one.version),
    actions: answers.map((one) => GRID_ACTIONS.indexOf(one.action)).join(""),
    given: answers.map((one) => (one.label === null ? -1 : place.get(one.label) ?? -1)),
    confidence: answers.map(({ confidence }) => (
      confidence !== null && Number.isFinite(confidence) ? Number(confidence.toFixed(6)) : null)),
    seconds: answers.map((one) => one.seconds), actor: whoNow(),
  };
}

/**
 * @param {BatchContent} job
 * @param {number} i
 */
export function gridActionAt(job, i) {
  return GRID_ACTIONS[Number(job.actions[i])];
}

/**
 * The decisions of a part of a batch.
 * @param {BatchContent} job
 * @param {number} from
 * @param {number} to
 * @returns {Decision[]}
 */
export function gridDecisions(job, from, to) {
  return job.ids.slice(from, to).map((id, j) => {
    const i = from + j;
    const action = gridActionAt(job, i);
    return {
      uid: `${job.batch}-${id}`, image_id: id, base_version: job.versions[i], action,
      label: job.given[i] < 0 ? null : job.labels[job.given[i]], confidence: job.confidence[i],
      round: action === "label" ? null : job.round, batch: job.batch, seconds: null, seen_seconds: job.seconds?.[i] ?? null,
      ...(job.actor === undefined ? {} : { actor: job.actor }),
    };
  });
}

/**
 * @param {{ batch: string }} job
 * @param {Ack} ack
 */
export const gridAckImage = (job, ack) => Number(ack.uid.slice(job.batch.length + 1));

/** @param {string} base */
function createGridSender(base) {
  /** @type {DurableQueue<Job, SenderEvent>} */
  const queue = createDurableQueue(/** @type {Encoding<Job, SenderEvent>} */ ({
    prefix: `starling.batch|${base}|`,
    keyOf: (job) => job.batch,
    soon: (work) => work(),
    wakes: ["online"],
    next: (jobs) => jobs.slice(0, 1),
    send: ([job]) => (job.kind === "undo" ? sendUndo(job) : sendBatch(job)),
    // 413: perhaps only too large
    isWrong: ([job], error) => [400, 413, 422].includes(statusOf(error)) || (job.kind === "undo" && statusOf(error) === 409),
    divide,
    refused(job, message) {
      if (job.kind === "undo") forget(job.target);
      queue.emit({ type: "refused", job, message });
    },
    status: () => ({ type: "status" }),
  }));
  const { store } = queue;
  const takenKey = `starling.batches|${base}`;
  /** @type {{ batch: string, n: number }[]} batches that can be taken back, the newest last */
  let recorded = /** @type {{ batch: string, n: number }[] | null} */ (store.read(sessionStorage, takenKey)) ?? [];

  /** @param {{ batch: string, n: number }[]} list */
  function remember(list) {
    recorded = list.slice(-GRID_UNDO_STEPS);
    store.write(sessionStorage, takenKey, recorded);
  }

  /** @param {string} batch */
  const forget = (batch) => remember(recorded.filter((one) => one.batch !== batch));

  /** @param {Batch} job */
  async function sendBatch(job) {
    const size = job.part || job.ids.length;
    /** @type {Ack[]} */
    const acks = [];
    for (let from = 0; from < job.ids.length; from += size) {
      const decisions = gridDecisions(job, from, from + size);
      const answer = /** @type {DecisionsAnswer} */ (
        await postJson(`${base}/decisions`, { decisions }, { timeout: GRID_PATIENCE }));
      acks.push(...(answer.acks || []));
    }
    if (acks.length < job.ids.length) throw new Error("no acknowledgement came back");
    queue.remove(job);
    const saved = acks.filter(isRecorded).length;
    if (saved) remember([...recorded, { batch: job.batch, n: saved }]);
    queue.emit({ type: "acks", job, acks });
  }

  /** @param {BatchUndo} job */
  async function sendUndo(job) {
    const asks = { uid: job.uid, target: job.target, actor: job.actor };
    const { acks } = /** @type {UndoAnswer} */ (await postJson(`${base}/undo`, asks, { timeout: GRID_PATIENCE }));
    queue.remove(job);
    forget(job.target);
    queue.emit({ type: "undone", job, acks: acks || [] });
  }

  /** @param {Job[]} jobs */
  function divide([job]) {
    if (job.kind !== "decide" || job.part || job.ids.length <= GRID_PART) return false;
    job.part = GRID_PART;
    queue.keep(job);
    return true;
  }

  const batches = () => queue.entries().filter((job) => job.kind === "decide");

  // Takes the newest batch back: one never sent is dropped, any other gets an undo that travels behind it.
  function undo() {
    const undone = new Set(queue.entries().filter((job) => job.kind === "undo").map((job) => job.target));
    const waiting = batches().findLast((job) => !undone.has(job.batch));
    if (waiting && queue.drop(waiting)) {
      queue.emit({ type: "dropped", job: waiting });
      queue.changed();
      return true;
    }
    const target = waiting?.batch ?? recorded.findLast((one) => !undone.has(one.batch))?.batch;
    if (!target) return false;
    queue.push({ kind: "undo", batch: `undo-${target}`, uid: newUid(), target, actor: whoNow() });
    return true;
  }

  queue.pump();

  return {
    undo,
    status: () => ({
      ...queue.condition(), jobs: queue.entries().length, undoing: queue.entries()[0]?.kind === "undo",
      pending: batches().reduce((sum, job) => sum + job.ids.length, 0),
    }),
    /** @param {BatchContent} content */
    send: (content) => queue.push(content),
    canUndo: () => recorded.length > 0 || batches().length > 0,
    pendingImages: () => batches().flatMap((job) => job.ids),
    subscribe: queue.subscribe,
  };
}
