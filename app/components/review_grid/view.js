// Everything the grid shows. Built once; paint() then only changes what differs.

import { el, releaseAfterClick, setText, show, watchTheme } from "../common/dom.js";
import { buildHelp } from "../common/help.js";
import { buildNotices } from "../common/notices.js";
import { buildGridChips, buildGridControls, buildGridTop } from "./bars.js";
import { buildGridAnswers, buildGridFoot, buildGridQuestion } from "./controls.js";
import { buildGridLens } from "./lens.js";
import { GRID_ALL } from "./table.js";
import { buildGridWall } from "./wall.js";

/** @import { GridChoices } from "./choices.js" */
/** @import { GridLook, GridSession } from "./session.js" */

/** @type {[string, string][]} */
const GRID_KEYS = [
  ["← → ↑ ↓", "move to another image"],
  ["Space or click", "mark, or no longer"],
  ["Shift + click", "mark all from the one before"],
  ["c", "mark all alike, or no longer"],
  ["n / p", "next group, group before"],
  ["1 – 9, 0", "class of those marked"],
  ["x", "reject those marked: not usable"],
  ["Shift + A", "accept all others on the page"],
  ["Ctrl + A", "select all that match, on all pages"],
  ["s", "save only the answers to marked ones"],
  ["PageUp / PageDown", "page before, next page"],
  ["Enter", "show the image large"],
  ["Backspace", "take back the last batch"],
  ["/", "find a class by name"],
  ["Esc", "close, unselect, unmark"],
  ["h", "show or hide this list"],
];

/**
 * @param {HTMLElement} root
 * @param {GridSession} session
 * @param {string} base
 * @param {GridChoices} choices
 */
export function buildGridView(root, session, base, choices) {
  const frame = el("div", { class: "wall-frame" });
  const lens = buildGridLens(base, session, () => frame, () => setFront());
  const top = buildGridTop(session, () => toggleHelp());
  const chips = buildGridChips(session);
  const controls = buildGridControls(session, {
    onSize(index) {
      choices.set({ size: index });
      wall.resize(index);
      paint();
    },
    onPages(size) {
      choices.set({ pageSize: size });
      session.setPageSize(size);
    },
    onSort(sort) {
      choices.set({ sort });
      session.sortBy(sort);
    },
  });
  const notices = buildNotices("grid", session.dismiss);
  const foot = buildGridFoot(session);
  const wall = buildGridWall(base, session, lens);
  const answers = buildGridAnswers(session);
  const question = buildGridQuestion(session);
  const empty = el("div", { class: "empty", testid: "grid-empty" });
  const help = buildHelp(GRID_KEYS, "grid", () => toggleHelp(false));
  const surface = el("div", { class: "surface review-grid", testid: "review-grid" });
  let soon = 0;
  let asking = false;
  frame.append(wall.node, empty, lens.card, lens.large, question.node);
  surface.append(top.node, chips.node, controls.node, notices.node, frame, answers.node, foot.node, help);
  root.append(surface);
  releaseAfterClick(surface);
  watchTheme(surface);
  wall.resize(choices.get().size);
  session.onShown(footSoon);

  function footSoon() {
    soon ||= requestAnimationFrame(() => {
      soon = 0;
      foot.paint(session.look());
    });
  }

  function setFront() {
    session.screen.setFront(question.node.hidden !== true ? question.node : lens.isOpen() ? lens.large : null);
  }

  function toggleHelp(on = help.hidden === true) {
    show(help, on);
    top.help.setAttribute("aria-expanded", String(on));
  }

  function paint() {
    const look = session.look();
    surface.dataset.loading = look.loading ? "yes" : "no";
    surface.dataset.alike = look.table.group ? "yes" : "no";
    top.paint(look);
    chips.paint(look);
    controls.paint(look, choices.get().size);
    notices.paint(look.notices);
    show(empty, look.table.list.length === 0);
    setText(empty, gridEmptyWords(look));
    wall.paint(look);
    answers.paint(look);
    foot.paint(look);
    lens.paint(look);
    question.paint(look);
    setFront();
    if (asking && look.asked === null) wall.focus();
    asking = look.asked !== null;
  }

  return {
    paint, toggleHelp, lens, wall,
    setSorts: controls.setSorts,
    find: answers.find,
    closeHelp: () => (help.hidden ? false : (toggleHelp(false), true)),
    remove() {
      cancelAnimationFrame(soon);
      lens.stop();
      wall.stop();
      surface.remove();
    },
  };
}

/** @param {GridLook} look */
function gridEmptyWords({ problem, loading, table, saving }) {
  if (problem) return `The images cannot be read: ${problem}.`;
  if (loading || !table.loaded) return "Looking for images…";
  if (saving.pending) return "The last ones are being saved.";
  if (table.filter !== GRID_ALL) return "No image is left in this class. Choose another one above.";
  return "Nothing to review here: no image matches this choice.";
}
