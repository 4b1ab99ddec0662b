// The review surface: listens to keys and opens the queue that the page asks for.

import { isOnControl, isTyping, leaveChoice } from "../common/dom.js";
import { intentOf } from "../common/keys.js";
import { mountedOnce } from "../common/mounts.js";
import { createSession } from "./session.js";
import { buildView } from "./view.js";

/** @import { Intent } from "../common/keys.js" */
/** @import { Given } from "../common/mounts.js" */

/** @typedef {{ base: string, strategy: string, round: number | null, only: string, classes: string[] }} ReviewData */

/**
 * @param {HTMLElement} parent
 * @param {Given<ReviewData>} first
 */
function mountReview(parent, first) {
  let { base } = first.data;
  let queryKey = "";
  let { session, view } = open();

  // The session and its view, of one project.
  function open() {
    /** @type {ReturnType<typeof buildView> | null} */
    let shown = null;
    const made = createSession(base, () => shown?.paint(), () => shown?.paintImage());
    shown = buildView(parent, made, base);
    return { session: made, view: shown };
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.defaultPrevented || isTyping(event)) return;
    if (document.querySelector("[role=dialog]")) return; // an open dialog has the keys
    const intent = intentOf(event);
    if (!intent || (intent.native && isOnControl(event))) return;
    if (event.repeat && intent.kind !== "move") return;
    if (obey(intent)) event.preventDefault();
  }

  /**
   * Returns whether it meant something here.
   * @param {Intent} intent
   */
  function obey(intent) {
    if (intent.kind === "class" || intent.kind === "act") session.press(intent);
    else if (intent.kind === "move") session.move(intent.step);
    else if (intent.kind === "undo") session.undo();
    else if (intent.kind === "help") view.toggleHelp();
    else if (intent.kind === "find") view.find();
    else if (intent.kind === "escape") return view.escape();
    return true;
  }

  function close() {
    session.stop();
    view.remove();
  }

  /** @param {Given<ReviewData>} given */
  function update({ data: next }) {
    if (next.base !== base) {
      close();
      base = next.base;
      queryKey = "";
      ({ session, view } = open());
    }
    const key = JSON.stringify([next.strategy, next.round, next.only]);
    session.setClasses(next.classes);
    if (key !== queryKey) {
      if (queryKey) leaveChoice();
      queryKey = key;
      session.open({ strategy: next.strategy, round: next.round, only: next.only });
    }
    view.paint();
  }

  document.addEventListener("keydown", onKey);
  update(first);
  return {
    update,
    remove() {
      document.removeEventListener("keydown", onKey);
      close();
    },
  };
}

export default mountedOnce(mountReview);
