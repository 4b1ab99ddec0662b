// The panel beside the image: what the model says, why the image is here, and the answers that can be given.

import { buildAdder } from "../common/adder.js";
import { el, setText, show } from "../common/dom.js";
import { classKeys, FIND_FROM, keyCap, matchingNames } from "../common/keys.js";
import { thumbOf } from "../common/pictures.js";
import { isPixelArt } from "../common/pixels.js";
import { isDoubted } from "../common/queue_ref.js";
import { sureWords } from "../common/words.js";
import { buildContext } from "./context.js";

/** @import { Act } from "../common/keys.js" */
/** @import { DecisionEntry } from "../common/outbox.js" */
/** @import { Ack, Beside, ReviewItem } from "../common/wire.d.ts" */
/** @import { CardDecision } from "./deck.js" */
/** @import { Decided, Look, Session } from "./session.js" */

export const ACTION_WORDS = {
  label: "labeled", accept: "accepted", correct: "corrected", reject: "rejected",
  skip: "skipped", unsure: "unsure", flag: "flagged",
};
const SOURCE_WORDS = {
  imported: "imported", human: "given by a person", confirmed: "a prediction that a person confirmed",
  accepted_in_batch: "accepted from a prediction, as a tile among others",
  accepted_by_threshold: "accepted from a prediction, which nobody looked at",
};
/** @type {[Act, string, string][]} */
const ACT_BUTTONS = [
  ["accept", "Accept", "a"], ["skip", "Skip", "Space"], ["unsure", "Unsure", "u"], ["flag", "Flag", "f"],
  ["reject", "Reject", "x"],
];
/** @type {[Act, string, string]} */
const KEEP_BUTTON = ["keep", "Keep", "k"]; // last: it comes and goes with a label in force

/**
 * @param {Session} session
 * @param {string} base
 */
export function buildPanel(session, base) {
  const beside = buildBeside(base);
  const context = buildContext(base);
  const says = buildPrediction();
  const classes = buildClasses(session);
  const acts = el("div", { class: "acts", role: "group", "aria-label": "Other answers" });
  const act = (/** @type {[Act, string, string]} */ [action, word, key]) => el("button", {
    type: "button", testid: `review-${action}`, "data-action": action, onclick: () => session.press({ action }),
  }, word, el("kbd", {}, key));
  const keep = act(KEEP_BUTTON);
  const answers = ACT_BUTTONS.map(act);
  const [accept] = answers;
  acts.append(...answers, el("button", { type: "button", testid: "review-undo", onclick: () => session.undo() },
    "Undo", el("kbd", { "aria-label": "Backspace" }, "⌫")), keep);
  const node = el("div", { class: "panel" }, beside.node, says.node, classes.node, acts, context.node);

  /** @param {Look} look */
  function paint(look) {
    beside.paint(look);
    says.paint(look);
    context.paint(look);
    classes.paint(look);
    node.dataset.idle = look.card === null ? "yes" : "no";
    show(keep, Boolean(look.card && look.card.item.label !== null));
    accept.disabled = !look.card || (look.card.item.prediction === null && look.card.item.label === null);
  }
  return { node, paint, find: () => classes.find() };
}

function buildPrediction() {
  const title = el("span", { class: "eyebrow", testid: "review-prediction-title" });
  const name = el("span", { class: "predicted", testid: "review-prediction" });
  const sure = el("span", { class: "sure", testid: "review-confidence" });
  const measure = el("p", { class: "measure", testid: "review-measure" });
  const force = el("p", { class: "force", testid: "review-label" });
  const why = el("p", { class: "why", testid: "review-why" });
  const bars = el("div", { class: "bars", "aria-label": "Most likely classes", testid: "review-bars" });
  const rows = Array.from({ length: 5 }, () => {
    const label = el("span", { class: "row-name" });
    const fill = el("span", { class: "row-fill" });
    const node = el("div", { class: "row" }, label, el("span", { class: "row-track" }, fill));
    bars.append(node);
    return { node, label, fill };
  });
  const node = el("section", { class: "says", "aria-live": "off" },
    el("div", { class: "headline" }, el("div", {}, title, name), sure), bars, measure, force, why);

  /** @param {Look} look */
  function paint({ card, classes, queue }) {
    const item = card?.item;
    bars.dataset.short = isShort(classes) ? "yes" : "no";
    setText(title, !item ? "" : item.asked ? "Audit: what is this?" : item.blind ? "Measures the model" : item.prediction === null ? "No prediction yet"
      : item.round === null ? "Suggestion" : `Prediction · round ${item.round}`);
    const ask = classes.length ? "Choose a class" : "Add the first class";
    setText(name, item?.prediction ?? (item ? ask : ""));
    name.dataset.none = item && item.prediction === null ? "yes" : "no";
    setText(sure, sureWords(item?.scale, item?.step));
    sure.title = item?.scale?.note ?? "";
    setText(measure, item?.scale?.brief ?? "");
    measure.title = item?.scale?.note ?? "";
    show(measure, measure.textContent !== "");
    const top = item?.top || [];
    show(bars, top.length > 0);
    bars.dataset.single = top.length === 1 ? "yes" : "no";
    rows.forEach((row, i) => {
      show(row.node, i < top.length);
      if (i >= top.length) return;
      const [label, value] = top[i];
      setText(row.label, label);
      row.label.title = label;
      row.fill.style.transform = `scaleX(${Math.max(0.002, value)})`;
      row.node.dataset.first = i === 0 ? "yes" : "no";
    });
    const source = item?.source ? ` · ${SOURCE_WORDS[item.source]}` : "";
    setText(force, item && item.label !== null ? `Label in force: ${item.label}${source}` : "");
    why.dataset.issue = isDoubted(queue) ? "yes" : "no";
    setText(why, item?.why ? item.why[0].toUpperCase() + item.why.slice(1) : "");
  }
  return { node, paint };
}

/** @param {string[]} names */
function isShort(names) {
  return names.every((name) => name.length <= 3);
}

/** @param {Session} session */
function buildClasses(session) {
  const grid = el("div", { class: "classes", role: "group", "aria-label": "Classes" });
  const search = el("input", {
    type: "text", class: "search", placeholder: "Find a class", "aria-label": "Find a class", autocomplete: "off",
    spellcheck: "false", testid: "review-class-search",
  });
  const finder = el("label", { class: "finder" }, search, el("kbd", {}, "/"));
  const adder = buildAdder("review", session.addClass);
  const node = el("section", { class: "answer" }, finder, grid, adder);
  /** @type {string[]} */
  let names = [];
  /** @type {Map<string, HTMLButtonElement>} */
  let buttons = new Map();
  let marked = 0;
  show(finder, false);

  /** @param {string[]} classes */
  function rebuild(classes) {
    names = [...classes];
    const keys = classKeys(names);
    const cap = (/** @type {string} */ name) => keyCap(keys.indexOf(name));
    buttons = new Map(names.map((name) => [name, el("button", {
      type: "button", class: "class", testid: "review-class", "data-class": name, "data-key": cap(name), title: name,
      onclick: () => pick(name),
    }, el("span", { class: "class-name" }, name), cap(name) ? el("kbd", {}, cap(name)) : null)]));
    grid.replaceChildren(...buttons.values());
    show(finder, names.length >= FIND_FROM);
    grid.dataset.many = names.length >= FIND_FROM ? "yes" : "no";
    grid.dataset.short = isShort(names) ? "yes" : "no";
  }

  /** @param {string} name */
  function pick(name) {
    if (search.value) {
      search.value = "";
      filter();
    }
    session.press({ label: name });
  }

  function filter() {
    const matches = matchingNames(names, search.value);
    const shown = new Set(matches);
    marked = Math.max(0, Math.min(marked, matches.length - 1));
    for (const [name, button] of buttons) {
      show(button, shown.has(name));
      button.dataset.marked = search.value && name === matches[marked] ? "yes" : "no";
    }
    if (search.value && matches.length) buttons.get(matches[marked])?.scrollIntoView({ block: "nearest" });
  }

  search.addEventListener("input", () => {
    marked = 0;
    filter();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") marked += 1;
    else if (event.key === "ArrowUp") marked -= 1;
    else if (event.key === "Escape") search.value = "";
    if (event.key === "Enter") {
      const name = matchingNames(names, search.value)[marked];
      if (name === undefined || event.repeat) return;
      pick(name);
    }
    if (["Enter", "Escape"].includes(event.key)) search.blur();
    if (!["ArrowDown", "ArrowUp", "Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    filter();
  });

  /** @param {Look} look */
  function paint({ classes, card, flashed }) {
    if (classes.length !== names.length || classes.some((name, i) => name !== names[i])) rebuild(classes);
    for (const [name, button] of buttons) {
      const predicted = card?.item.prediction === name;
      const given = (card?.decision?.label ?? card?.item.label) === name;
      button.dataset.predicted = predicted ? "yes" : "no";
      button.dataset.given = given ? "yes" : "no";
    }
    if (flashed && flashed.uid !== grid.dataset.flashed) flash(flashed);
  }

  /** @param {CardDecision} decision */
  function flash({ label, uid }) {
    grid.dataset.flashed = uid;
    const button = label === null ? undefined : buttons.get(label);
    button?.animate([{ filter: "brightness(1.35)", transform: "scale(.97)" }, { filter: "none", transform: "none" }], 180);
  }

  return {
    node, paint,
    find() {
      if (names.length >= FIND_FROM) search.focus();
    },
  };
}

// Side by side: the images or answers that contradict the one in front.
/** @param {string} base */
function buildBeside(base) {
  const strip = el("div", { class: "beside-strip" });
  const node = el("section", { class: "beside", hidden: true, "aria-label": "Side by side", testid: "review-beside" },
    el("h3", { class: "context-title" }, "Side by side"), strip);
  /** @type {ReviewItem | null} */
  let shown = null;

  /** @param {Look} look */
  function paint({ card }) {
    const item = card?.item || null;
    if (item === shown) return;
    shown = item;
    const others = item?.beside || [];
    show(node, others.length > 0);
    strip.replaceChildren(...(item ? others.map((other) => besideCard(other, item, base)) : []));
  }
  return { node, paint };
}

/**
 * @param {Beside} beside
 * @param {ReviewItem} item
 * @param {string} base
 */
function besideCard({ image_id, label, who }, item, base) {
  const words = label ?? "no label";
  const itself = image_id === item.image_id;
  return el("figure", { class: "beside-card", "data-itself": itself ? "yes" : "no", testid: "review-beside-image" },
    el("img", {
      src: thumbOf(base, image_id), alt: itself ? "this image" : "the other image", draggable: "false",
      class: isPixelArt(item) ? "pixels" : null,
    }),
    el("figcaption", {}, el("strong", {}, words), who ? el("span", { class: "faint" }, who) : null));
}

/**
 * What became of an answer that was not recorded.
 * @param {DecisionEntry} entry
 * @param {Ack} ack
 * @param {Decided | undefined} record
 */
export function ackWords(entry, ack, record) {
  const name = record?.item.name || `Image ${entry.image_id}`;
  const wanted = entry.label === null ? ACTION_WORDS[entry.action] : `“${entry.label}”`;
  if (ack.status === "refused") return `${name}: ${wanted} was not recorded. ${ack.message || ""}`.trim();
  const label = ack.state?.label;
  const now = label ? `its label is now “${label}”` : "it has no label now";
  return `${name} was changed elsewhere after you saw it: ${now}. Your answer ${wanted} was not recorded.`;
}

/**
 * @param {Ack[]} acks
 * @param {ReviewItem | null} image
 */
export function undoConflictWords(acks, image) {
  const label = image?.label ?? acks[0]?.state?.label;
  const now = label ? `the label in force is “${label}”` : "it has no label";
  return `Not undone: ${image?.name || "the image"} was changed since; ${now}.`;
}
