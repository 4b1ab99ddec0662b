// The review session: turns intents into decisions, and acknowledgements into what is shown.

import { isRecorded } from "../common/acks.js";
import { afterPaint, newUid } from "../common/dom.js";
import { postJson } from "../common/http.js";
import { classKeys, keyCap } from "../common/keys.js";
import { outboxFor } from "../common/outbox.js";
import { readQueueRef, staysAfterAnswer } from "../common/queue_ref.js";
import { CONTEXT_AHEAD, createContexts } from "./context.js";
import { createDeck } from "./deck.js";
import { ackWords, ACTION_WORDS, undoConflictWords } from "./panel.js";

/** @import { Act } from "../common/keys.js" */
/** @import { Notice } from "../common/notices.js" */
/** @import { DecisionEntry, Entry, OutboxEvent } from "../common/outbox.js" */
/** @import { QueueRef } from "../common/queue_ref.js" */
/** @import { Ack, Action, ClassesAnswer, LabelState, ReviewItem } from "../common/wire.d.ts" */
/** @import { Card, CardDecision } from "./deck.js" */

const STRIP_LENGTH = 10;
const SESSION_MEMORY = 50; // decisions that undo can walk back through

const PATIENCE = 400; // ms a key press waits for the picture it is meant for

/**
 * A decision of this tab, for the strip and for undo.
 * @typedef {"unsaved" | "saved" | "conflict" | "refused"} RecordStatus
 * @typedef {{ uid: string, item: ReviewItem, action: Action, label: string | null, status: RecordStatus }} Decided
 */

/**
 * An answer: the class of a key, a class by its name, or something else.
 * @typedef {{ index: number } | { label: string } | { action: Act }} Answer
 *
 * @typedef {Notice & { item: ReviewItem | null }} ReviewNotice
 * @typedef {ReturnType<typeof createSession>} Session
 * @typedef {ReturnType<Session["look"]>} Look
 */

/**
 * @param {string} base
 * @param {() => void} paint shows everything
 * @param {() => void} paintImage shows only the image in front: it goes first, the rest in the frame after it
 */
export function createSession(base, paint, paintImage) {
  const outbox = outboxFor(base);
  const memoryKey = `starling.recent|${base}`;
  /** @type {string[]} */
  let classes = [];
  let recent = recall();
  let decided = 0;
  /** @type {ReviewNotice[]} */
  let notices = [];
  let hint = "";
  /** @type {Card | null} */
  let returnTo = null;
  let shownSince = performance.now();
  /** @type {CardDecision | null} */
  let flashed = null;
  /** @type {{ at: number, act: () => void }[]} presses made while the picture in front was still loading */
  let waiting = [];
  let later = false;
  let stopped = false;
  /** @type {QueueRef} */
  let queue = { kind: "unreviewed", audit: null };
  let remembered = true;

  const deck = createDeck(onDeck, (names) => setClasses(names));
  const contexts = createContexts(base, paintSoon);
  const unsubscribe = outbox.subscribe(onOutbox);

  /** @returns {Decided[]} */
  function recall() {
    try {
      const records = /** @type {Decided[]} */ (JSON.parse(sessionStorage.getItem(memoryKey) || "[]"));
      return records.map((record) => ({ ...record, status: statusNow(record) }));
    } catch {
      return []; // a browser without storage only loses the strip
    }
  }

  /** @param {Decided} record */
  function statusNow(record) {
    return record.status === "unsaved" && !outbox.holds(record.uid) ? "saved" : record.status;
  }

  function remember() {
    remembered = true;
    recent = recent.slice(-SESSION_MEMORY);
    try {
      sessionStorage.setItem(memoryKey, JSON.stringify(recent.slice(-STRIP_LENGTH)));
    } catch {
      hint = "This browser keeps no session data; the list of the last ten will not survive a reload.";
    }
  }

  /** @param {string[]} names */
  function setClasses(names) {
    classes = [...names];
  }

  /** @param {LabelState} state */
  function refreshImage(state) {
    const items = [deck.cardOf(state.image_id)?.item, ...recent.map((record) => record.item)];
    for (const item of items) {
      if (item?.image_id !== state.image_id) continue;
      Object.assign(item, { version: state.version, mark: state.mark });
      if (!item.blind) Object.assign(item, { label: state.label, source: state.source });
    }
  }

  // One paint a frame for what no key waits for, after the image's own.
  function paintSoon() {
    if (later) return;
    later = true;
    afterPaint(() => {
      later = false;
      if (stopped) return;
      if (!remembered) remember();
      paint();
      contexts.want(deck.upcoming(CONTEXT_AHEAD));
    });
  }

  function paintFirstImage() {
    shownSince = performance.now();
    paintImage();
    paintSoon();
  }

  // Runs again when a picture has come: presses that waited for it are obeyed in their order.
  function onDeck() {
    while (waiting.length && deck.pictureState(deck.current()) !== "loading") {
      const [press] = waiting.splice(0, 1);
      if (performance.now() - press.at < PATIENCE) press.act();
      else hint = "A key came long before its image and was not counted.";
    }
    paintSoon();
  }

  /**
   * Obeys an answer now, or when the picture it is meant for has come.
   * @param {Answer} answer
   */
  function press(answer) {
    const act = () => {
      if ("index" in answer) giveClass(answer.index);
      else if ("label" in answer) giveLabel(answer.label);
      else if (answer.action === "accept") accept();
      else if (answer.action === "keep") keep();
      else decide(answer.action, null);
    };
    if (waiting.length || deck.pictureState(deck.current()) === "loading") waiting.push({ at: performance.now(), act });
    else act();
  }

  /** @param {OutboxEvent} event */
  function onOutbox(event) {
    if (event.type === "ack") onAck(event.entry, event.ack);
    if (event.type === "undone") onUndone(event.entry, event.acks, event.image);
    if (event.type === "refused") onRefused(event.entry, event.message);
    if (event.type === "live") deck.renew(event.version);
    if (event.type !== "status" && event.type !== "live") remember();
    paintSoon();
  }

  /**
   * @param {DecisionEntry} entry
   * @param {Ack} ack
   */
  function onAck(entry, ack) {
    const record = recent.find((other) => other.uid === entry.uid);
    if (record) record.status = ack.status === "duplicate" ? "saved" : ack.status;
    if (ack.state) refreshImage(ack.state);
    if (isRecorded(ack)) {
      if (entry.blind && !entry.asked) deck.measured();
      return;
    }
    const card = deck.cardOf(entry.image_id);
    if (card?.decision?.uid === entry.uid) card.decision = null;
    notices.push({ kind: ack.status, item: record?.item || card?.item || null, text: ackWords(entry, ack, record) });
  }

  /**
   * @param {Entry} entry the undo
   * @param {Ack[]} acks
   * @param {ReviewItem | null} image
   */
  function onUndone(entry, acks, image) {
    for (const ack of acks) if (ack.state) refreshImage(ack.state);
    if (image?.blind) deck.measured();
    if (acks.some((ack) => ack.status === "conflict")) {
      notices.push({ kind: "conflict", item: image, text: undoConflictWords(acks, image) });
    } else if (entry.kind === "undo" && entry.target === null && image) {
      reopen(image);
      hint = "Took back the last decision of an earlier session.";
    }
  }

  /**
   * @param {Entry} entry
   * @param {string} message
   */
  function onRefused(entry, message) {
    const record = recent.find((other) => other.uid === entry.uid);
    if (record) record.status = "refused";
    const card = record && deck.cardOf(record.item.image_id);
    if (card?.decision?.uid === entry.uid) card.decision = null;
    if (entry.kind === "undo") hint = message;
    else notices.push({ kind: "refused", item: record?.item || null, text: `Not recorded: ${message}` });
  }

  /** @param {number} index */
  function giveClass(index) {
    const name = classKeys(classes)[index];
    if (!classes.length) say("There is no class yet: add one beside the image.");
    else if (name === null) say(`No class has the key ${keyCap(index)}.`);
    else giveLabel(name);
  }

  /** @param {string} name */
  function giveLabel(name) {
    const item = deck.current()?.item;
    if (!item) return;
    if (item.prediction === name) decide("accept", name);
    else decide(item.prediction !== null || item.label !== null ? "correct" : "label", name);
  }

  function accept() {
    const item = deck.current()?.item;
    if (!item) return;
    if (item.prediction !== null) decide("accept", item.prediction);
    else if (item.label !== null) decide("label", item.label);
    else say(item.asked ? "The audit shows no label: choose the class of this image."
      : item.blind ? "This image measures the model: choose its class."
      : "There is no prediction to accept yet: choose a class.");
  }

  function keep() {
    const item = deck.current()?.item;
    if (!item) return;
    if (item.label !== null) decide("label", item.label);
    else say("There is no label in force to keep: choose a class.");
  }

  /**
   * @param {Action} action
   * @param {string | null} label
   */
  function decide(action, label) {
    const card = deck.current();
    if (card === null) {
      say("There is no image in front yet; that was not counted.");
      return;
    }
    if (label !== null && deck.pictureState(card) === "failed") {
      say("This image could not be shown, so it gets no label: skip, reject or flag it.");
      return;
    }
    const { item } = card;
    const uid = newUid();
    const predicted = item.prediction !== null;
    hint = "";
    if (!card.decision) deck.counted(1);
    card.decision = { uid, action, label };
    recent.push({ uid, item, action, label, status: "unsaved" });
    decided += 1;
    flashed = { action, label, uid };
    outbox.decide({
      uid, action, label, image_id: item.image_id, base_version: item.version, batch: null,
      round: predicted ? item.round : null, confidence: predicted ? item.confidence : null,
      seconds: Math.round((performance.now() - shownSince) / 10) / 100, seen_seconds: null,
      blind: item.blind, asked: item.asked,
    });
    remembered = false;
    advance();
  }

  function advance() {
    const back = returnTo ? deck.indexOf(returnTo) : -1;
    returnTo = null;
    if (back >= 0) deck.go(back);
    else deck.nextOpen();
    paintFirstImage();
  }

  /** @param {ReviewItem} item */
  function reopen(item) {
    waiting = [];
    const card = deck.current();
    if (card && !card.decision && card.item.image_id !== item.image_id) returnTo = card;
    deck.open(item);
    paintFirstImage();
  }

  function undo() {
    hint = "";
    if (waiting.pop()) return;
    const at = recent.findLastIndex((record) => record.status === "unsaved" || record.status === "saved");
    if (at < 0) {
      outbox.undo(null, null);
      paint();
      return;
    }
    const [record] = recent.splice(at, 1);
    if (!outbox.drop(record.uid)) outbox.undo(record.uid, record.item.image_id);
    decided = Math.max(0, decided - 1);
    const card = deck.open(record.item);
    if (card.decision?.uid === record.uid) {
      card.decision = null;
      deck.counted(-1);
    }
    returnTo = null;
    shownSince = performance.now();
    remember();
    say(`Took back “${record.label ?? ACTION_WORDS[record.action]}”.`);
  }

  /** @param {string} name */
  async function addClass(name) {
    const answer = /** @type {ClassesAnswer} */ (await postJson(`${base}/classes`, { name }));
    setClasses(answer.classes);
    paint();
  }

  /** @param {string} text */
  function say(text) {
    hint = text;
    paint();
  }

  return {
    deck, undo, reopen, addClass, setClasses,
    /** @param {{ strategy: string, round: number | null, only: string }} query */
    open(query) {
      hint = "";
      decided = 0;
      waiting = [];
      returnTo = null;
      // The server's total still holds what has not reached the ledger; with "all" it never shrinks.
      queue = readQueueRef(query.only);
      const stays = staysAfterAnswer(queue);
      const stillCounted = (/** @type {string} */ uid) => stays || outbox.holds(uid);
      contexts.start(query.round);
      deck.start({ ...query, base, stillCounted, exclude: () => outbox.pendingImages(), again: queue.kind === "audit" });
    },
    press,
    /** @param {number} step */
    move(step) {
      waiting = [];
      returnTo = null;
      hint = "";
      deck.move(step);
      paintFirstImage();
    },
    /** @param {ReviewNotice} notice */
    dismiss(notice) {
      notices = notices.filter((other) => other !== notice);
      paint();
    },
    queue: () => queue,
    look: () => ({
      classes, decided, notices, hint, flashed, queue, card: deck.current(), deck: deck.state(),
      context: contexts.of(deck.current()?.item.image_id),
      strip: recent.slice(-STRIP_LENGTH), saving: outbox.status(),
    }),
    stop() {
      stopped = true;
      contexts.stop();
      unsubscribe();
      deck.stop();
    },
  };
}
