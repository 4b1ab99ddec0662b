// The deck: the images shown and to be shown, in order, some ahead of the one in front, pictures preloaded.

import { afterPaint } from "../common/dom.js";
import { postJson } from "../common/http.js";

const DECK_FETCH = 60; // items asked for at once
const DECK_REFILL = 30; // fewer than this many undecided ahead: fetch more
const DECK_PRELOAD = 30; // pictures loaded ahead of the one in front
const DECK_BEHIND = 12; // pictures kept behind it

export function createDeck(onChange, onClasses) {
  let query = null;
  let cards = []; // {item, decision: {uid, action, label} | null}
  let position = 0;
  let total = null;
  let decidedSince = 0;
  let generation = 0;
  let fetching = false;
  let dry = false;
  let problem = "";
  let retry = 0;
  let tidying = false;
  const pictures = new Map();

  const ahead = () => cards.slice(position).filter((card) => !card.decision).length;

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
    pictures.clear();
    refill();
  }

  async function refill() {
    if (!query || fetching || dry || ahead() >= DECK_REFILL) return;
    clearTimeout(retry);
    fetching = true;
    const mine = generation;
    const { base, strategy, round, only } = query;
    const exclude = new Set([...query.exclude(), ...cards.map((card) => card.item.image_id)]);
    exclude.delete(null); // of a waiting undo that names no image
    const wanted = { strategy, only, limit: DECK_FETCH, round: round ?? null, exclude: [...exclude] };
    try {
      const answer = await postJson(`${base}/queue`, wanted);
      if (mine !== generation) return;
      take(answer);
      problem = "";
    } catch (error) {
      if (mine !== generation) return;
      problem = error.message;
      retry = setTimeout(refill, 1500);
    }
    fetching = false;
    preload();
    onChange();
    if (!problem) refill();
  }

  function take(answer) {
    const known = new Set(cards.map((card) => card.item.image_id));
    const fresh = answer.items.filter((item) => !known.has(item.image_id));
    cards.push(...fresh.map((item) => ({ item, decision: null })));
    dry = fresh.length === 0;
    total = answer.total;
    decidedSince = cards.filter((card) => card.decision && query.stillCounted(card.decision.uid)).length;
    if (answer.classes) onClasses(answer.classes);
  }

  function picture(item) {
    let image = pictures.get(item.image_id);
    if (!image || image.failed) {
      image = new Image();
      image.draggable = false;
      image.decoding = "sync";
      image.onload = onChange;
      image.onerror = () => {
        image.failed = true;
        onChange();
      };
      image.src = `${query.base}/image/${item.image_id}`;
      image.decode?.().catch(() => (image.failed = true));
      pictures.set(item.image_id, image);
    }
    return image;
  }

  function preload() {
    const window = cards.slice(Math.max(0, position - DECK_BEHIND), position + DECK_PRELOAD);
    const wanted = new Set(window.map((card) => card.item.image_id));
    for (const id of pictures.keys()) if (!wanted.has(id)) pictures.delete(id);
    for (const card of window) picture(card.item);
  }

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

  // Puts one image in front: where it lies already, or newly inserted before the present one.
  function open(item) {
    let at = cards.findIndex((card) => card.item.image_id === item.image_id);
    if (at < 0) {
      at = Math.min(position, cards.length);
      cards.splice(at, 0, { item, decision: null });
    }
    go(at);
    return cards[at];
  }

  return {
    start, refill, go, nextOpen, open, picture,
    again: () => start(query),
    current: () => cards[position] || null,
    upcoming: (limit) => cards.slice(position, position + limit).map((card) => card.item.image_id),
    cardOf: (imageId) => cards.find((card) => card.item.image_id === imageId) || null,
    indexOf: (card) => cards.indexOf(card),
    move(step) {
      if (position + step < 0 || position + step > cards.length) return;
      go(position + step);
    },
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
      waiting: fetching || (problem !== ""), problem, dry, position, length: cards.length,
    }),
  };
}
