// The deck: the images shown and to be shown, in order, some ahead of the one in front, pictures preloaded.

import { afterPaint } from "../common/dom.js";
import { messageOf, postJson } from "../common/http.js";
import { pictureOf } from "../common/pictures.js";

/** @import { Action, FiguresAnswer, FiguresRequest, QueueAnswer, ReviewItem } from "../common/wire.d.ts" */

const DECK_FETCH = 60; // items asked for at once
const DECK_REFILL = 30; // fewer than this many undecided ahead: fetch more
const DECK_PRELOAD = 30; // pictures loaded ahead of the one in front
const DECK_BEHIND = 12; // pictures kept behind it
const DECK_SURE = 3; // images behind the one in front that stay when the live model is fitted anew
const DECK_PICTURE_PAUSE = 5000; // ms after which a picture that failed is asked for again

/**
 * An image with what was decided of it here, and its picture; `failed`: it cannot be shown.
 * @typedef {{ uid: string, action: Action, label: string | null }} CardDecision
 * @typedef {{ item: ReviewItem, decision: CardDecision | null }} Card
 * @typedef {{ image: HTMLImageElement, failed: boolean }} Picture
 */

/**
 * What the deck is filled with. `exclude`: images to leave out; `stillCounted`: whether the server's total still holds an
 * image that was decided here; `again`: whether an image that was decided here may come again, as an audit asks some.
 * @typedef {object} DeckQuery
 * @property {string} base
 * @property {string} strategy
 * @property {number | null} round
 * @property {string} only
 * @property {() => Iterable<number>} exclude
 * @property {(uid: string) => boolean} stillCounted
 * @property {boolean} again
 *
 * @typedef {ReturnType<typeof createDeck>} Deck
 */

/**
 * @param {() => void} onChange
 * @param {(names: string[]) => void} onClasses
 */
export function createDeck(onChange, onClasses) {
  /** @type {DeckQuery | null} */
  let query = null;
  /** @type {Card[]} */
  let cards = [];
  let position = 0;
  /** @type {number | null} */
  let total = null;
  let decidedSince = 0;
  let generation = 0;
  let fetching = false;
  let dry = false;
  let problem = "";
  /** @type {string | null} the version of the live model that orders the cards; null: it orders none */
  let live = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retry;
  let tidying = false;
  let measuring = false;
  let measuredSince = false; // more was measured while figures were on their way
  /** @type {Map<number, Picture>} */
  const pictures = new Map();

  const ahead = () => cards.slice(position).filter((card) => !card.decision).length;

  /** @param {DeckQuery} next */
  function start(next) {
    query = next;
    generation += 1;
    fetching = false;
    cards = [];
    position = 0;
    total = null;
    decidedSince = 0;
    dry = false;
    problem = "";
    live = null;
    pictures.clear();
    refill();
  }

  async function refill() {
    if (!query || fetching || dry || ahead() >= DECK_REFILL) return;
    clearTimeout(retry);
    fetching = true;
    const mine = generation;
    const { base, strategy, round, only } = query;
    const exclude = new Set([...query.exclude(), ...held(query)]);
    const wanted = { strategy, only, limit: DECK_FETCH, round, exclude: [...exclude] };
    try {
      const answer = /** @type {QueueAnswer} */ (await postJson(`${base}/queue`, wanted));
      if (mine !== generation) return;
      take(answer, query);
      problem = "";
    } catch (error) {
      if (mine !== generation) return;
      problem = messageOf(error);
      retry = setTimeout(refill, 1500);
    }
    fetching = false;
    preload();
    onChange();
    if (!problem) refill();
  }

  /**
   * The images that are not to come from the server while they lie here.
   * @param {DeckQuery} asked
   */
  function held({ again }) {
    return cards.filter((card) => !again || !card.decision).map((card) => card.item.image_id);
  }

  /**
   * @param {QueueAnswer} answer
   * @param {DeckQuery} asked
   */
  function take(answer, asked) {
    const known = new Set(held(asked));
    const fresh = answer.items.filter((item) => !known.has(item.image_id));
    cards.push(...fresh.map((item) => ({ item, decision: null })));
    dry = fresh.length === 0;
    live = answer.live;
    total = answer.total;
    decidedSince = cards.filter((card) => card.decision && asked.stillCounted(card.decision.uid)).length;
    if (answer.classes) onClasses(answer.classes);
  }

  /**
   * The live model may have been fitted anew since: what is further ahead is then asked for again, in its new order.
   * @param {string} version
   */
  function renew(version) {
    if (live === null || version === live || fetching) return;
    cards = cards.filter((card, at) => at <= position + DECK_SURE || card.decision);
    dry = false;
    refill();
    measured();
  }

  /**
   * More was measured, or the model was fitted anew: how sure it is of the images that lie here is written anew, by all
   * answers there are. The image in front keeps its prediction, which a key may be about to accept.
   */
  async function measured() {
    measuredSince = true;
    if (measuring) return;
    measuring = true;
    while (query && measuredSince) {
      measuredSince = false;
      const mine = generation;
      const { base, round } = query;
      const shown = cards.slice(position).filter(({ item, decision }) => !decision && item.scale && !item.blind);
      const ids = shown.map((card) => card.item.image_id).slice(0, DECK_FETCH);
      if (!ids.length) break;
      try {
        const wanted = /** @type {FiguresRequest} */ ({ ids, round });
        const answer = /** @type {FiguresAnswer} */ (await postJson(`${base}/figures`, wanted));
        if (mine === generation) answer.items.forEach(rewrite);
      } catch (error) {
        if (mine === generation) problem = messageOf(error);
      }
      onChange();
    }
    measuring = false;
  }

  /** @param {ReviewItem} now */
  function rewrite(now) {
    const at = cards.findLastIndex((card) => card.item.image_id === now.image_id);
    if (at < position || !now.scale || cards[at].decision) return;
    const { prediction, confidence, top, round, scale, step } = now;
    const { item } = cards[at];
    if (at > position || item.prediction === prediction) Object.assign(item, { prediction, confidence, top, round, scale, step });
    else Object.assign(item, { scale });
  }

  /**
   * The picture of an image, on its way, there, or failed.
   * @param {ReviewItem} item
   */
  function picture(item) {
    const known = pictures.get(item.image_id);
    if (known) return known;
    const asked = { image: new Image(), failed: false };
    const failed = () => {
      asked.failed = true;
      setTimeout(() => askAgain(item, asked), DECK_PICTURE_PAUSE);
      onChange();
    };
    asked.image.draggable = false;
    asked.image.decoding = "sync";
    asked.image.onload = onChange;
    asked.image.onerror = failed;
    asked.image.src = pictureOf(query?.base, item.image_id);
    asked.image.decode().catch(() => (asked.failed = true));
    pictures.set(item.image_id, asked);
    return asked;
  }

  /**
   * @param {ReviewItem} item
   * @param {Picture} failed
   */
  function askAgain(item, failed) {
    if (!query || pictures.get(item.image_id) !== failed) return;
    pictures.delete(item.image_id);
    onChange();
  }

  /**
   * @param {Card | null} card
   * @returns {"none" | "loading" | "ready" | "failed"}
   */
  function pictureState(card) {
    if (card === null) return "none";
    const { image, failed } = picture(card.item);
    return failed ? "failed" : image.complete ? "ready" : "loading";
  }

  // Those that failed are asked for again.
  function preload() {
    const window = cards.slice(Math.max(0, position - DECK_BEHIND), position + DECK_PRELOAD);
    const wanted = new Set(window.map((card) => card.item.image_id));
    for (const [id, { failed }] of pictures) if (failed || !wanted.has(id)) pictures.delete(id);
    for (const card of window) picture(card.item);
  }

  /** @param {number} to */
  function go(to) {
    position = Math.max(0, Math.min(cards.length, to));
    if (tidying) return;
    tidying = true;
    afterPaint(() => {
      tidying = false;
      if (!query) return;
      preload();
      refill();
    });
  }

  function nextOpen() {
    let to = position + 1;
    while (to < cards.length && cards[to].decision) to += 1;
    go(to);
  }

  /**
   * Puts one image in front: where it lies already, or newly inserted before the present one.
   * @param {ReviewItem} item
   */
  function open(item) {
    let at = cards.findIndex((card) => card.item === item);
    if (at < 0) at = cards.findLastIndex((card) => card.item.image_id === item.image_id);
    if (at < 0) {
      at = Math.min(position, cards.length);
      cards.splice(at, 0, { item, decision: null });
    }
    go(at);
    return cards[at];
  }

  return {
    start, refill, renew, measured, go, nextOpen, open, picture, pictureState,
    again() {
      if (query) start(query);
    },
    current: () => cards[position] || null,
    /** @param {number} limit */
    upcoming: (limit) => cards.slice(position, position + limit).map((card) => card.item.image_id),
    /** @param {number} imageId */
    cardOf: (imageId) => cards.findLast((card) => card.item.image_id === imageId) || null,
    /** @param {Card} card */
    indexOf: (card) => cards.indexOf(card),
    /** @param {number} step */
    move(step) {
      if (position + step < 0 || position + step > cards.length) return;
      go(position + step);
    },
    /** @param {number} change */
    counted(change) {
      decidedSince += change;
    },
    stop() {
      generation += 1;
      clearTimeout(retry);
      query = null;
    },
    state: () => ({
      left: total === null ? null : Math.max(0, total - decidedSince),
      problem, dry, position, length: cards.length,
    }),
  };
}
