// The review surface: listens to keys and opens the queue that the page asks for.

import { isOnControl, isTyping, leaveChoice } from "../common/dom.js";
import { intentOf } from "../common/keys.js";
import { mountedOnce } from "../common/mounts.js";
import { createSession } from "./session.js";
import { buildView } from "./view.js";

function mountReview(parent, first) {
  let session = null;
  let view = null;
  let queryKey = "";
  let base = null;

  function onKey(event) {
    if (!session || event.defaultPrevented || isTyping(event)) return;
    if (document.querySelector("[role=dialog]")) return; // an open dialog has the keys
    const intent = intentOf(event);
    if (!intent || (intent.native && isOnControl(event))) return;
    if (event.repeat && intent.kind !== "move") return;
    if (obey(intent)) event.preventDefault();
  }

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
    session?.stop();
    view?.remove();
  }

  function update({ data: next }) {
    if (next.base !== base) {
      close();
      base = next.base;
      queryKey = "";
      session = createSession(base, () => view?.paint(), () => view?.paintImage());
      view = buildView(parent, session, base);
    }
    const key = JSON.stringify([next.strategy, next.round, next.only]);
    session.setClasses(next.classes || []);
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
