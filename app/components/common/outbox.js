// The outbox: single decisions on their way to the ledger, and what takes them back.

import { isRecorded } from "./acks.js";
import { afterPaint, newUid } from "./dom.js";
import { createDurableQueue, onePerBase } from "./durable_queue.js";
import { postText, statusOf } from "./http.js";
import { whoNow } from "./who.js";

/** @import { DurableQueue, Encoding, Kept } from "./durable_queue.js" */
/** @import { Ack, Decision, DecisionsAnswer, ReviewItem, UndoAnswer } from "./wire.d.ts" */

const MOST_AT_ONCE = 200; // decisions in one request
const KEEPALIVE_LIMIT = 60000; // bytes of a request that may arrive although the tab closes

/**
 * `target`: uid of the decision taken back, null for "the last one", of which no image is known either.
 * @typedef {Decision & Kept & { kind: "decision" }} DecisionEntry
 * @typedef {Kept & { kind: "undo", uid: string, target: string | null, image_id: number | null, actor?: string }} UndoEntry
 * @typedef {DecisionEntry | UndoEntry} Entry
 * @typedef {{ pending: number, flying: boolean, problem: string, kept: boolean, today: number }} OutboxStatus
 * @typedef {{ type: "status", status: OutboxStatus }
 *   | { type: "ack", entry: DecisionEntry, ack: Ack }
 *   | { type: "live", version: string }
 *   | { type: "undone", entry: UndoEntry, acks: Ack[], image: ReviewItem | null }
 *   | { type: "refused", entry: Entry, message: string }} OutboxEvent
 * @typedef {ReturnType<typeof createOutbox>} Outbox
 */

export const outboxFor = onePerBase(createOutbox);

/** @param {string} base */
function createOutbox(base) {
  /** @type {DurableQueue<Entry, OutboxEvent>} */
  const queue = createDurableQueue(/** @type {Encoding<Entry, OutboxEvent>} */ ({
    prefix: `starling.outbox|${base}|`,
    keyOf: (entry) => entry.uid,
    soon: afterPaint, // what was answered is kept; sending it must not hold up the next image
    wakes: ["online", "pagehide"],
    next: nextGroup,
    send,
    isWrong: ([first], error) => [400, 422].includes(statusOf(error)) || (first.kind === "undo" && statusOf(error) === 409),
    divide(group) {
      if (group.length === 1) return false;
      limit = 1;
      return true;
    },
    refused: (entry, message) => queue.emit({ type: "refused", entry, message }),
    status: () => ({ type: "status", status: status() }),
  }));
  const days = dayCount(base, queue.store);
  let limit = MOST_AT_ONCE;

  const status = () => ({ ...queue.condition(), pending: queue.entries().length, today: days.today() });

  /**
   * The first waiting entry of each image; an undo travels alone. Later ones wait for the version the first one makes.
   * @param {readonly Entry[]} entries
   */
  function nextGroup(entries) {
    const blocked = new Set();
    /** @type {Entry[]} */
    const group = [];
    for (const entry of entries) {
      if (entry.kind === "undo") {
        if (group.length === 0) return [entry];
        if (entry.image_id === null) break; // takes back "the last one": everything before it must be in first
      } else if (!blocked.has(entry.image_id)) {
        group.push(entry);
        if (group.length >= limit) break;
      }
      blocked.add(entry.image_id);
    }
    return group;
  }

  /** @param {Entry[]} group */
  async function send(group) {
    const [first] = group;
    if (first.kind === "undo") await sendUndo(first);
    else await sendDecisions(group.filter((entry) => entry.kind === "decision"));
    limit = Math.min(MOST_AT_ONCE, limit * 2);
  }

  /** @param {DecisionEntry[]} entries */
  async function sendDecisions(entries) {
    const answer = /** @type {DecisionsAnswer} */ (await post("/decisions", { decisions: entries.map(decisionOf) }));
    const acks = new Map((answer.acks || []).map((ack) => [ack.uid, ack]));
    for (const entry of entries) acknowledged(entry, acks.get(entry.uid));
    queue.emit({ type: "live", version: answer.live });
    if (entries.every(({ uid }) => !acks.has(uid))) throw new Error("no acknowledgement came back");
  }

  /** @param {UndoEntry} entry */
  async function sendUndo(entry) {
    const answer = /** @type {UndoAnswer} */ (await post("/undo", { uid: entry.uid, target: entry.target, actor: entry.actor }));
    const acks = answer.acks || [];
    queue.remove(entry);
    const taken = acks.filter(isRecorded);
    days.add(-taken.length);
    if (taken.length === 1) rebase(entry.image_id, taken[0]);
    queue.emit({ type: "undone", entry, acks, image: answer.image || null });
  }

  /**
   * @param {string} path
   * @param {unknown} content
   */
  function post(path, content) {
    const body = JSON.stringify(content);
    return postText(base + path, body, { keepalive: body.length < KEEPALIVE_LIMIT });
  }

  /**
   * @param {DecisionEntry} entry
   * @param {Ack | undefined} ack
   */
  function acknowledged(entry, ack) {
    if (!ack) return;
    queue.remove(entry);
    if (isRecorded(ack)) {
      days.add(1);
      rebase(entry.image_id, ack);
    }
    queue.emit({ type: "ack", entry, ack });
  }

  /**
   * What waits for the same image was decided on the version that has just come about.
   * @param {number | null} imageId
   * @param {Ack} ack
   */
  function rebase(imageId, ack) {
    const version = ack.seq ?? ack.state?.version;
    if (version === undefined || version === null) return;
    for (const entry of queue.entries()) {
      if (entry.kind !== "decision" || entry.image_id !== imageId) continue;
      entry.base_version = version;
      queue.keep(entry);
    }
  }

  queue.pump();

  return {
    status,
    /** @param {Decision} decision */
    decide(decision) {
      queue.push({ actor: whoNow(), ...decision, kind: "decision" });
    },
    /**
     * @param {string | null} target
     * @param {number | null} imageId
     */
    undo(target, imageId) {
      queue.push({ kind: "undo", uid: newUid(), target, image_id: imageId, actor: whoNow() });
    },
    /**
     * Takes a decision that was never sent out again; returns whether it could.
     * @param {string} uid
     */
    drop(uid) {
      const entry = queue.entries().find((other) => other.uid === uid);
      if (!entry || !queue.drop(entry)) return false;
      queue.changed();
      return true;
    },
    /** @param {string} uid */
    holds: (uid) => queue.entries().some((entry) => entry.uid === uid),
    pendingImages: () => new Set(queue.entries().map((entry) => entry.image_id).filter((id) => id !== null)),
    /** @param {(event: OutboxEvent) => void} listener */
    subscribe(listener) {
      const unsubscribe = queue.subscribe(listener);
      listener({ type: "status", status: status() });
      return unsubscribe;
    },
  };
}

/**
 * What the route takes of an entry.
 * @param {DecisionEntry} entry
 * @returns {Decision}
 */
function decisionOf({ uid, image_id, base_version, action, label, round, confidence, batch, seconds, blind, asked, actor }) {
  return { uid, image_id, base_version, action, label, round, confidence, batch, seconds, seen_seconds: null, blind, asked, actor };
}

/**
 * How many decisions this browser has recorded today.
 * @param {string} base
 * @param {DurableQueue<Entry, OutboxEvent>["store"]} store
 */
function dayCount(base, store) {
  const key = `starling.today|${base}`;
  const day = () => new Date().toDateString();

  function today() {
    const record = /** @type {{ day: string, n: number } | null} */ (store.read(localStorage, key));
    return record !== null && record.day === day() ? record.n : 0;
  }

  return {
    today,
    /** @param {number} change */
    add: (change) => store.write(localStorage, key, { day: day(), n: Math.max(0, today() + change) }),
  };
}
