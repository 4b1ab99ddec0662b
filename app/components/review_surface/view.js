// Everything the review surface shows. Built once; paint() then only changes what differs.

import { count, el, releaseAfterClick, setText, show, watchTheme } from "../common/dom.js";
import { buildHelp } from "../common/help.js";
import { REVIEW_KEYS } from "../common/keys.js";
import { buildNotices } from "../common/notices.js";
import { thumbOf } from "../common/pictures.js";
import { isPixelArt } from "../common/pixels.js";
import { waitingWords } from "../common/words.js";
import { ACTION_WORDS, buildPanel } from "./panel.js";

/** @import { OutboxStatus } from "../common/outbox.js" */
/** @import { QueueRef } from "../common/queue_ref.js" */
/** @import { ReviewItem } from "../common/wire.d.ts" */
/** @import { Card, Deck } from "./deck.js" */
/** @import { Decided, Look, ReviewNotice, Session } from "./session.js" */

const LEAST_STAGE = 0.42; // of the window's height; else the image ends where the window does
const BELOW_STAGE = 64; // the line with the file's name, and a margin
const PIXEL_ART_ZOOM = 40;
const MARK_WORDS = { reject: "rejected", skip: "skipped", unsure: "unsure", flag: "flagged" };

/**
 * @param {HTMLElement} root
 * @param {Session} session
 * @param {string} base
 */
export function buildView(root, session, base) {
  const top = buildTop(() => toggleHelp());
  const notices = buildNotices("review", session.dismiss, (notice) => reopenButton(notice, session));
  const stage = buildStage(session);
  const panel = buildPanel(session, base);
  const strip = el("ol", { class: "strip", "aria-label": "Last ten decisions", testid: "review-strip" });
  const help = buildHelp(REVIEW_KEYS, "review", () => toggleHelp(false));
  const surface = el("div", { class: "surface", testid: "review-surface" },
    top.node, notices.node, el("div", { class: "main" },
      el("section", { class: "recent" }, el("h3", { class: "recent-title" }, "Last ten"), strip), stage.node, panel.node),
    help);
  const recent = buildStrip(strip, session, base);
  root.append(surface);
  releaseAfterClick(surface);
  watchTheme(surface);

  function toggleHelp(on = help.hidden === true) {
    show(help, on);
    top.help.setAttribute("aria-expanded", String(on));
  }

  function paint() {
    const look = session.look();
    top.paint(look);
    notices.paint(look.notices);
    stage.paint(look);
    panel.paint(look);
    recent.paint(look);
  }

  // What a key press waits for; paint() follows in the next frame with the rest.
  function paintImage() {
    stage.paint({ card: session.deck.current(), deck: session.deck.state(), hint: "", queue: session.queue() });
  }

  return {
    paint, paintImage, toggleHelp,
    find: () => panel.find(),
    escape: () => (help.hidden ? false : (toggleHelp(false), true)),
    remove() {
      stage.stop();
      surface.remove();
    },
  };
}

/** @param {() => void} onHelp */
function buildTop(onHelp) {
  const done = el("strong", { testid: "review-done" });
  const left = el("span", { testid: "review-left" });
  const bar = el("span", { class: "bar-fill" });
  const save = el("span", { class: "save", role: "status", testid: "review-save-state" });
  const help = el("button", {
    class: "quiet", type: "button", onclick: onHelp, testid: "review-help", "aria-expanded": "false",
  }, "Keys ", el("kbd", {}, "h"));
  const node = el("div", { class: "top" },
    el("span", { class: "progress" }, done, left),
    el("span", { class: "bar", "aria-hidden": "true" }, bar), save, help);

  /** @param {Look} look */
  function paint({ decided, deck, saving, queue }) {
    setText(done, queue.kind === "audit" ? "Audit" : `${count(decided)} decided`);
    setText(left, deck.left === null ? "" : ` · ${count(deck.left)} left`);
    const share = deck.left === null ? 0 : decided / Math.max(1, decided + deck.left);
    bar.style.width = `${(share * 100).toFixed(2)}%`;
    const [kind, text] = savedWords(saving);
    save.dataset.kind = kind;
    setText(save, text);
  }
  return { node, help, paint };
}

/** @param {OutboxStatus} saving */
function savedWords(saving) {
  if (saving.pending === 0) return ["saved", `saved · ${count(saving.today)} today`];
  return waitingWords(saving, count(saving.pending), "saving…");
}

/** @param {Session} session */
function buildStage(session) {
  const frame = el("div", { class: "frame", testid: "review-image" });
  const name = el("span", { class: "file", testid: "review-name" });
  const size = el("span", { class: "size" });
  const marks = el("span", { class: "marks" });
  const empty = el("div", { class: "empty", testid: "review-empty" });
  const emptyText = el("p");
  const again = el("button", { class: "solid", type: "button", testid: "review-again" }, "Look again");
  again.addEventListener("click", () => session.deck.again());
  empty.append(emptyText, again);
  const caption = el("figcaption", {}, stepButton(session, -1, "Back", "←"), name, size, marks,
    stepButton(session, 1, "Forward", "→"));
  const hint = el("p", { class: "hint", role: "status", testid: "review-hint" });
  const node = el("figure", { class: "stage" }, frame, empty, hint, caption);
  /** @type {{ item: ReviewItem, image: HTMLImageElement } | null} */
  let shown = null;
  let roomAcross = 9999; // kept, as the next: asking for them makes the browser lay the page out at once
  let roomDown = 0.6 * globalThis.innerHeight;
  const measure = () => {
    roomAcross = frame.clientWidth || 9999;
    const above = frame.getBoundingClientRect().top + scrolled(node);
    roomDown = Math.floor(Math.max(LEAST_STAGE * globalThis.innerHeight, globalThis.innerHeight - above - BELOW_STAGE));
    node.style.setProperty("--stage", `${roomDown}px`);
    fit();
  };
  const watcher = new ResizeObserver(measure);
  watcher.observe(frame);
  const page = document.querySelector("[data-testid=stMainBlockContainer]"); // what stands above may become higher
  if (page) watcher.observe(page);
  globalThis.addEventListener("resize", measure);

  function stop() {
    watcher.disconnect();
    globalThis.removeEventListener("resize", measure);
  }

  function fit() {
    if (!shown) return;
    const { item, image } = shown;
    const width = item.width || image.naturalWidth || 1;
    const height = item.height || image.naturalHeight || 1;
    let scale = Math.min(roomDown / height, roomAcross / width);
    if (isPixelArt({ width, height })) {
      scale = Math.min(scale, PIXEL_ART_ZOOM);
      if (scale > 2) scale = Math.floor(scale); // whole pixels stay square
    }
    image.style.width = `${Math.round(width * scale)}px`;
    image.style.height = `${Math.round(height * scale)}px`;
  }

  /** @param {Pick<Look, "card" | "deck" | "hint" | "queue">} look */
  function paint({ card, deck, hint: words, queue }) {
    setText(hint, words);
    show(frame, card !== null);
    show(caption, card !== null);
    show(empty, card === null);
    if (!card) {
      shown = null;
      frame.replaceChildren();
      setText(emptyText, emptyWords(deck, queue));
      show(again, deck.dry && !deck.problem);
      return;
    }
    const { image } = session.deck.picture(card.item);
    if (shown?.image !== image || shown.item !== card.item) place(card.item, image);
    frame.dataset.state = session.deck.pictureState(card);
    setText(name, card.item.name);
    name.title = card.item.name;
    setText(size, `${card.item.width} × ${card.item.height}`);
    paintMarks(marks, card);
  }

  /**
   * @param {ReviewItem} item
   * @param {HTMLImageElement} image
   */
  function place(item, image) {
    shown = { item, image };
    image.alt = item.name;
    image.className = isPixelArt(item) ? "pixels" : "photo";
    fit();
    frame.replaceChildren(image);
    frame.dataset.imageId = String(item.image_id);
  }
  return { node, paint, stop };
}

/**
 * How far what holds a node is scrolled, in pixels.
 *
 * @param {Node} node
 */
function scrolled(node) {
  let sum = 0;
  for (let at = /** @type {Node | null} */ (node); at; at = at.parentNode ?? /** @type {ShadowRoot} */ (at).host ?? null) {
    if (at instanceof Element) sum += at.scrollTop;
  }
  return sum;
}

/**
 * @param {Session} session
 * @param {number} by
 * @param {"Back" | "Forward"} word
 * @param {string} key
 */
function stepButton(session, by, word, key) {
  return el("button", {
    type: "button", class: "quiet step", testid: `review-${word.toLowerCase()}`, title: word, "aria-label": word,
    onclick: () => session.move(by),
  }, el("kbd", {}, key));
}

/**
 * @param {ReturnType<Deck["state"]>} deck
 * @param {QueueRef} queue
 */
function emptyWords(deck, queue) {
  if (deck.problem) return `The queue cannot be read: ${deck.problem}. Trying again…`;
  if (!deck.dry) return "Looking for images…";
  if (queue.kind === "audit") {
    return "Nothing is left to ask here now. What the audit shows stands on the Quality page.";
  }
  if (deck.length === 0) return "Nothing to review here: no image matches this choice.";
  return "That was the last one. Skipped images come up again when you look again.";
}

/**
 * @param {HTMLElement} node
 * @param {Card} card
 */
function paintMarks(node, card) {
  const words = [];
  if (card.decision) words.push(`${ACTION_WORDS[card.decision.action]}${card.decision.label ? ` as ${card.decision.label}` : ""}`);
  else if (card.item.mark) words.push(MARK_WORDS[card.item.mark]);
  const key = words.join("|");
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(...words.map((word) => el("span", { class: "mark" }, word)));
}

/**
 * @param {ReviewNotice} notice
 * @param {Session} session
 */
function reopenButton(notice, session) {
  const { item } = notice;
  return item && el("button", {
    type: "button", class: "solid", testid: "review-notice-reopen",
    onclick: () => {
      session.dismiss(notice);
      session.reopen(item);
    },
  }, "Open it again");
}

const RECORD_WORDS = { unsaved: "not yet saved", saved: "saved", conflict: "not recorded", refused: "not recorded" };

/**
 * Newest first. Cards stay as they are while their decision does, so that a key press moves ten nodes and makes one.
 * @param {HTMLElement} node
 * @param {Session} session
 * @param {string} base
 */
function buildStrip(node, session, base) {
  /** @type {Map<string, ReturnType<typeof buildRecent>>} by uid of the decision */
  const cards = new Map();

  /** @param {Look} look */
  function paint({ strip, card }) {
    const newest = [...strip].reverse();
    const uids = new Set(newest.map((record) => record.uid));
    for (const [uid, slot] of cards) {
      if (uids.has(uid)) continue;
      slot.node.remove();
      cards.delete(uid);
    }
    newest.forEach((record, place) => {
      const slot = cards.get(record.uid) ?? buildRecent(record, session, base);
      cards.set(record.uid, slot);
      if (node.children[place] !== slot.node) node.insertBefore(slot.node, node.children[place] || null);
      slot.paint(record, card);
    });
  }
  return { paint };
}

/**
 * @param {Decided} record
 * @param {Session} session
 * @param {string} base
 */
function buildRecent(record, session, base) {
  const words = record.label ?? ACTION_WORDS[record.action];
  const state = el("span", { class: "recent-state", "aria-hidden": "true" });
  const button = el("button", {
    type: "button", class: "recent-card", testid: "review-recent", "data-image-id": record.item.image_id,
    onclick: () => session.reopen(record.item),
  },
  el("img", {
    src: thumbOf(base, record.item.image_id), alt: "", draggable: "false",
    class: isPixelArt(record.item) ? "pixels" : null,
  }),
  el("span", { class: "recent-label", "data-action": record.action }, words), state);

  /**
   * @param {Decided} now
   * @param {Card | null} card the one in front
   */
  function paint(now, card) {
    const front = String(card?.item.image_id === now.item.image_id);
    if (button.dataset.status === now.status && button.getAttribute("aria-current") === front) return;
    button.dataset.status = now.status;
    button.setAttribute("aria-current", front);
    state.title = RECORD_WORDS[now.status];
    button.setAttribute("aria-label", `${now.item.name}: ${words}, ${RECORD_WORDS[now.status]}. Open again`);
  }
  return { node: el("li", {}, button), paint };
}
