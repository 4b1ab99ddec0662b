// Below the wall: the classes for what is marked wrong, the batch that would be recorded, and the question before a large one.

import { buildAdder } from "../common/adder.js";
import { count, el, setText, show } from "../common/dom.js";
import { classKeys, FIND_FROM, keyCap, matchingNames } from "../common/keys.js";
import { spreadWords } from "../common/words.js";
import { gridOpenWords } from "./table.js";

/** @import { GridLook, GridSession } from "./session.js" */
/** @import { Plan, Table } from "./types.d.ts" */

const GRID_MOST_SHOWN = 60; // class buttons shown at once

/** @param {GridSession} session */
export function buildGridAnswers(session) {
  const words = el("span", { class: "answers-words", testid: "grid-marked-words" });
  const find = el("input", {
    type: "text", placeholder: "Find a class  /", "aria-label": "Find a class", testid: "grid-class-find", autocomplete: "off",
    spellcheck: "false", oninput: () => filter(), onkeydown: onKey,
  });
  const list = el("span", { class: "answer-classes", role: "group", "aria-label": "Class of the marked images" });
  const reject = el("button", { type: "button", testid: "grid-reject", onclick: () => session.answer("reject", null) },
    "Reject", el("kbd", {}, "x"));
  const adder = buildAdder("grid", session.addClass);
  const node = el("div", { class: "answers", testid: "grid-answers" }, words, find, list, adder, reject);
  /** @type {string[]} */
  let names = [];
  /** @type {Map<string, HTMLButtonElement>} */
  let buttons = new Map();
  show(find, false);

  /** @param {string[]} classes */
  function rebuild(classes) {
    names = [...classes];
    const keys = classKeys(names);
    buttons = new Map(names.map((name) => {
      const cap = keyCap(keys.indexOf(name));
      return [name, el("button", {
        type: "button", class: "answer-class", testid: "grid-class", "data-class": name, title: name, onclick: () => give(name),
      }, el("span", { class: "filter-name" }, name), cap ? el("kbd", {}, cap) : null)];
    }));
    show(find, names.length >= FIND_FROM);
    filter();
  }

  function filter() {
    const shown = matchingNames(names, find.value).slice(0, GRID_MOST_SHOWN);
    list.replaceChildren(...shown.map((name) => buttons.get(name) ?? name));
  }

  /** @param {string} name */
  function give(name) {
    find.value = "";
    filter();
    session.answer("correct", name);
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const [first] = matchingNames(names, find.value);
    if (event.key === "Enter" && find.value.trim() && first !== undefined) give(first);
    else if (event.key !== "Escape") return;
    find.value = "";
    filter();
    find.blur();
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {GridLook} look */
  function paint({ table, classes, ring }) {
    if (classes.join("\n") !== names.join("\n") || buttons.size !== classes.length) rebuild(classes);
    const { open, answered } = table.marked(table.pageRows());
    node.dataset.idle = open.length || ring ? "no" : "yes";
    const given = answered.length ? `${count(answered.length)} answered` : "";
    const text = open.length ? `${count(open.length)} marked${given ? `, ${given}` : ""}. They are` : given;
    const alike = classes.length ? "Mark all alike with c, or some by a click, then press a class's key" : "Add a class to begin";
    setText(words, text || (table.group ? alike : "Click the wrong ones, then say what they are"));
  }
  return { node, paint, find: () => (find.hidden ? false : (find.focus(), true)) };
}

/** @param {GridSession} session */
export function buildGridFoot(session) {
  const outcome = el("span", { class: "outcome", role: "status", testid: "grid-outcome" });
  const rest = el("span", { class: "faint rest", testid: "grid-rest" });
  const undo = el("button", { type: "button", testid: "grid-undo", onclick: () => session.undo() },
    "Undo", el("kbd", { "aria-label": "Backspace" }, "⌫"));
  const onlyWords = el("span");
  const only = el("button", { type: "button", testid: "grid-save-marked", onclick: () => session.saveMarked() },
    onlyWords, el("kbd", {}, "s"));
  const acceptWords = el("span");
  const accept = el("button", { type: "button", class: "solid", testid: "grid-accept", onclick: () => session.accept() },
    acceptWords, el("kbd", {}, "⇧A"));
  const node = el("div", { class: "foot" }, el("span", { class: "foot-words" }, outcome, rest), undo, only, accept);

  /** @param {GridLook} look */
  function paint(look) {
    const plan = session.plan();
    const { take, answered, open } = plan;
    outcome.dataset.kind = look.outcome?.kind || "";
    setText(outcome, look.outcome?.text || "");
    const predicted = look.table.round !== null;
    setText(rest, look.outcome || !predicted ? "" : gridRestWords(plan, look.table));
    setText(acceptWords, gridAcceptWords(plan));
    accept.disabled = take.length + answered.length === 0 || look.asked !== null;
    show(accept, predicted || answered.length > 0);
    accept.title = open.length ? gridOpenWords(open.length) : "";
    show(only, predicted && answered.length > 0);
    setText(onlyWords, `Save only the ${count(answered.length)} answered`);
    undo.disabled = !look.canUndo;
  }
  return { node, paint };
}

/** @param {Plan} plan */
function gridAcceptWords({ take, answered, open, everything, total }) {
  if (!take.length) return answered.length ? `Save ${count(answered.length)} answered` : "Accept the page";
  const others = answered.length + open.length;
  const which = others ? "the other " : take.length < total ? "the " : "all ";
  return `Accept ${which}${count(take.length)}${everything ? " selected" : ""}`;
}

/**
 * @param {Plan} plan
 * @param {Table} table
 */
function gridRestWords({ take, answered, open, flying, unseen, everything, total }, table) {
  const words = [];
  if (everything) words.push(`All ${count(total)} that match are selected, on ${count(table.pages())} ${table.pages() === 1 ? "page" : "pages"}. Esc goes back to the page.`);
  const labeled = total - take.length - answered.length - open.length - flying;
  if (flying) words.push(`${count(flying)} on their way.`);
  if (labeled > 0) words.push(`${count(labeled)} that have a label are left alone.`);
  if (unseen) words.push(`${count(unseen)} not on the screen yet.`);
  if (open.length) words.push(gridOpenWords(open.length));
  return words.join(" ");
}

/**
 * Lies over the wall while a large batch waits for a yes.
 * @param {GridSession} session
 */
export function buildGridQuestion(session) {
  const text = el("p", { testid: "grid-question-text" });
  const yes = el("button", { type: "button", class: "solid", testid: "grid-question-yes", onclick: () => session.confirm() });
  const no = el("button", { type: "button", testid: "grid-question-no", onclick: () => session.escape() }, "Cancel");
  const node = el("div", { class: "veil", hidden: true, testid: "grid-question" },
    el("div", { class: "question", role: "alertdialog", "aria-label": "Accept many predictions" }, text,
      el("div", { class: "question-buttons" }, no, yes)));

  /** @param {GridLook} look */
  function paint({ asked, table }) {
    const opening = asked !== null && node.hidden === true;
    show(node, asked !== null);
    if (asked === null) return;
    const { take, answered, open, unseen } = asked;
    const parts = [`Accept ${count(take.length)} predictions as they are: ${spreadWords(take.map(table.className), 4)}?`];
    if (unseen) parts.push(`${count(unseen)} of them ${unseen === 1 ? "was" : "were"} never on the screen and will count as accepted without a look.`);
    if (answered.length) parts.push(`Saved with them: ${count(answered.length)} answered.`);
    if (open.length) parts.push(gridOpenWords(open.length));
    setText(text, parts.join(" "));
    setText(yes, `Accept ${count(take.length)}`);
    if (opening) yes.focus();
  }
  return { node, paint };
}
