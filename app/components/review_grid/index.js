// The review grid: listens to keys, opens the images that the page asks for, keeps the person's choices.

import { isOnControl, isTyping, leaveChoice } from "../common/dom.js";
import { classIndexOf } from "../common/keys.js";
import { mountedOnce } from "../common/mounts.js";
import { gridChoices } from "./choices.js";
import { createGridSession } from "./session.js";
import { buildGridView } from "./view.js";

/** @import { Given } from "../common/mounts.js" */
/** @import { GridLook } from "./session.js" */

const GRID_MOVES = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);

/** @typedef {{ base: string, round: number | null, only: string, classes: string[], sorts: [string, string][] }} GridData */

/**
 * @param {HTMLElement} parent
 * @param {Given<GridData>} first
 */
function mountGrid(parent, first) {
  let current = first;
  let { base } = first.data;
  let queryKey = "";
  let namesKey = "";
  let { session, view, choices } = open();

  // The session and its view, of one project.
  function open() {
    /** @type {ReturnType<typeof buildGridView> | null} */
    let shown = null;
    const stored = gridChoices(base);
    const made = createGridSession(base, () => shown?.paint(), () => current.setTriggerValue("saved", Date.now()));
    made.table.pageSize = stored.get().pageSize;
    shown = buildGridView(parent, made, base, stored);
    return { session: made, view: shown, choices: stored };
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.defaultPrevented || event.isComposing || isTyping(event)) return;
    if (document.querySelector("[role=dialog]") || event.altKey) return; // an open dialog has the keys
    const look = session.look();
    const done = look.asked ? obeyQuestion(event) : obey(event, look);
    if (!done) return;
    event.preventDefault();
    view.lens.hover(-1, null); // the card does not lie over what the keys do
  }

  /**
   * While the question is open, only a yes or a no means something.
   * @param {KeyboardEvent} event
   */
  function obeyQuestion(event) {
    if (event.key === "Escape") return session.escape();
    if (event.key !== "Enter" || event.repeat || isOnControl(event)) return false;
    session.confirm();
    return true;
  }

  /**
   * Returns whether the key meant something here.
   * @param {KeyboardEvent} event
   * @param {GridLook} look
   */
  function obey(event, look) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey) {
      if (key.toLowerCase() !== "a" || event.shiftKey || !look.table.loaded) return false;
      session.selectAll();
      return true;
    }
    if (GRID_MOVES.has(key)) return move(key, look);
    if (key === "PageUp" || key === "PageDown") return (session.go(look.table.page + (key === "PageUp" ? -1 : 1)), true);
    if (event.repeat) return false;
    const index = classIndexOf(event);
    if (index !== null) return (session.answerKey(index), true);
    if (key === "Enter" || key === " ") return isOnControl(event) ? false : press(key, look);
    if (key === "Escape") return view.closeHelp() || view.lens.close() || session.escape();
    if (key === "Backspace") return (session.undo(), true);
    if (key === "/") return view.find();
    if (key === "?") return (view.toggleHelp(), true);
    return letter(key.toLowerCase(), event.shiftKey);
  }

  /**
   * @param {string} key
   * @param {boolean} shift
   */
  function letter(key, shift) {
    if (key === "a" && shift) session.accept();
    else if (shift) return false;
    else if (key === "a") session.say("warn", "Shift + A accepts the page.");
    else if (key === "x") session.answer("reject", null);
    else if (key === "c") alike(() => session.markAlike(session.look().focus));
    else if (key === "n") alike(() => session.stepGroup(1));
    else if (key === "p") alike(() => session.stepGroup(-1));
    else if (key === "s") session.saveMarked();
    else if (key === "h") view.toggleHelp();
    else return false;
    return true;
  }

  /** @param {() => void} act */
  function alike(act) {
    act();
    view.wall.revealGroup();
  }

  /**
   * @param {string} key
   * @param {GridLook} look
   */
  function move(key, look) {
    if (!look.table.list.length) return false;
    if (!view.lens.isOpen()) view.wall.focus(); // Space and Enter then belong to the image
    session.focusAt(look.ring || key === "Home" || key === "End" ? view.wall.step(key) : look.focus);
    view.wall.reveal();
    return true;
  }

  /**
   * @param {string} key
   * @param {GridLook} look
   */
  function press(key, look) {
    if (!look.table.list.length) return false;
    if (!look.ring) session.focusAt(look.focus);
    if (key === " ") session.toggle(session.look().focus);
    else if (!view.lens.close()) view.lens.open(session.look().focus);
    return true;
  }

  function close() {
    session.stop();
    view.remove();
  }

  /** @param {Given<GridData>} given */
  function update(given) {
    current = given;
    const next = given.data;
    const { sorts } = next;
    if (next.base !== base) {
      close();
      base = next.base;
      queryKey = namesKey = "";
      ({ session, view, choices } = open());
    }
    const names = JSON.stringify(next.classes);
    if (names !== namesKey) session.setClasses(next.classes); // else the page may not know of a class added here
    namesKey = names;
    view.setSorts(sorts);
    const key = JSON.stringify([next.round, next.only]);
    if (key !== queryKey) {
      if (queryKey) leaveChoice();
      queryKey = key;
      const wanted = [choices.get().sort, session.look().query.sort];
      const sort = wanted.find((one) => sorts.some(([key]) => key === one)) ?? sorts[0][0];
      session.open({ round: next.round, only: next.only, sort });
    }
    view.paint();
  }

  document.addEventListener("keydown", onKey);
  update(first);
  if (document.activeElement?.closest("button, [role=radio], [role=tab]")) view.wall.focus(); // Space is for the images now
  return {
    update,
    remove() {
      document.removeEventListener("keydown", onKey);
      close();
    },
  };
}

export default mountedOnce(mountGrid);
