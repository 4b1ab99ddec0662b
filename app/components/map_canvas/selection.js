// The selection: its images, and one label for all of them.

const MOST_THUMBS = 200;
const ASK_FROM = 2; // selections of this many and more are labeled after one question

function buildSelection(model, base, actions) {
  let sort = "unsure";
  let asked = null; // class index waiting for a yes
  let outcome = null; // {text, kind, undo?, retry?}
  let busy = false;
  let shownKey = "";

  const title = el("strong", { testid: "map-selected-count" });
  const order = el("select", { "aria-label": "Sort by", testid: "map-selection-sort", onchange: () => {
    sort = order.value;
    paint();
  } }, el("option", { value: "unsure" }, "least sure first"), el("option", { value: "sure" }, "most sure first"));
  const head = el("div", { class: "selection-head" }, title, order,
    el("button", { type: "button", class: "quiet", testid: "map-selection-clear", onclick: actions.clear }, "Clear"));
  const chips = el("div", { class: "chips", role: "group", "aria-label": "Label all selected as" });
  const question = el("div", { class: "question", hidden: true, testid: "map-confirm" });
  const result = el("div", { class: "result", hidden: true, role: "status", testid: "map-result" });
  const grid = el("div", { class: "thumbs", testid: "map-thumbs" });
  const more = el("p", { class: "faint" });
  const body = el("div", { class: "selection-body" }, head,
    el("p", { class: "faint ask" }, "Label all of them as"), chips, question, grid, more);
  const hint = el("p", { class: "faint hint" },
    "Draw a box or a lasso, or hold Shift and drag, to see images here and label them together. Esc clears.");
  const node = el("section", { class: "selection", testid: "map-selection" }, result, hint, body);

  function paint() {
    const some = model.selection.length > 0;
    show(hint, !some && !outcome);
    show(body, some);
    if (!some) asked = null;
    paintResult();
    if (!some) {
      shownKey = "";
      return;
    }
    setText(title, `${count(model.selection.length)} selected`);
    paintChips();
    paintQuestion();
    paintThumbs();
  }

  function paintChips() {
    const key = model.classes.join("\u0000");
    if (chips.dataset.key === key) return;
    chips.dataset.key = key;
    chips.replaceChildren(...model.classes.map((name, k) => el("button", {
      type: "button", class: "chip", testid: "map-label-as", "data-class": name, title: name, onclick: () => ask(k),
    }, swatchOf(k), el("span", { class: "chip-name" }, name))));
  }

  function swatchOf(k) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = model.classColour(k);
    return swatch;
  }

  function ask(k) {
    outcome = null;
    asked = k;
    if (model.selection.length < ASK_FROM) label();
    else paint();
    question.querySelector("button")?.focus();
  }

  function paintQuestion() {
    show(question, asked !== null);
    if (asked === null) return;
    const labeled = model.selection.filter((i) => model.points.label[i] >= 0 && model.points.label[i] !== asked).length;
    const text = `Label ${count(model.selection.length)} images as “${model.classes[asked]}”?`;
    const warning = labeled ? ` ${count(labeled)} of them have another label now; it will be replaced.` : "";
    question.replaceChildren(el("span", {}, text + warning), el("span", { class: "question-buttons" },
      el("button", { type: "button", class: "solid", testid: "map-confirm-yes", disabled: busy, onclick: label },
        busy ? "Saving…" : "Label"),
      el("button", { type: "button", testid: "map-confirm-no", disabled: busy, onclick: () => {
        asked = null;
        paint();
      } }, "Cancel")));
  }

  function label() {
    const name = model.classes[asked];
    const batch = newUid();
    const { ids, versions } = model.points;
    const round = actions.round();
    const decisions = model.selection.map((i) => {
      const guess = model.pseudo(i);
      const accepted = model.points.label[i] < 0 && guess === asked;
      const seen = guess !== UNKNOWN && model.points.label[i] < 0;
      return {
        uid: newUid(), image_id: ids[i], base_version: versions[i], label: name, batch, seconds: null,
        action: accepted ? "accept" : seen || model.points.label[i] >= 0 ? "correct" : "label",
        round: seen ? round : null,
        confidence: null, // the map's is of the epoch shown, coarse and not calibrated: not the round's
      };
    });
    send(decisions, name, batch);
  }

  // The same uids are sent again on a retry, so that nothing is recorded twice.
  async function send(decisions, name, batch) {
    busy = true;
    paint();
    try {
      const { acks } = await post("/decisions", { decisions });
      settle(acks, name, batch);
    } catch (error) {
      outcome = { kind: "bad", text: `Not saved: ${error.message}.`, retry: () => send(decisions, name, batch) };
    }
    busy = false;
    asked = null;
    actions.changed();
  }

  function settle(acks, name, batch) {
    model.learn(acks.map((ack) => ack.state).filter(Boolean));
    const saved = acks.filter((ack) => ack.status === "saved" || ack.status === "duplicate").length;
    const rest = acks.length - saved;
    const refused = acks.find((ack) => ack.status === "refused");
    let text = `Saved: ${count(saved)} labeled as “${name}”.`;
    if (rest) text += ` ${count(rest)} were left alone, ${refused ? refused.message : "changed meanwhile"}.`;
    outcome = { kind: rest ? "warn" : "good", text, undo: saved ? () => takeBack(batch) : null };
    if (!rest) model.select([]);
  }

  async function takeBack(batch) {
    const uid = newUid();
    outcome = { kind: "good", text: "Taking back…" };
    paint();
    try {
      const { acks } = await post("/undo", { uid, target: batch });
      model.learn(acks.map((ack) => ack.state).filter(Boolean));
      const kept = acks.filter((ack) => ack.status === "conflict").length;
      const text = `Took back ${count(acks.length - kept)} labels.`;
      outcome = { kind: kept ? "warn" : "good", text: kept ? `${text} ${count(kept)} were changed since and stay.` : text };
    } catch (error) {
      outcome = { kind: "bad", text: `Not taken back: ${error.message}.`, retry: () => takeBack(batch) };
    }
    actions.changed();
  }

  function post(path, body) {
    return fetchJson(base + path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), timeout: 120000,
    });
  }

  function paintResult() {
    show(result, outcome !== null);
    if (!outcome) return;
    const { kind, text, undo, retry } = outcome;
    result.dataset.kind = kind;
    result.replaceChildren(...[el("span", {}, text),
      undo && el("button", { type: "button", testid: "map-batch-undo", onclick: undo }, "Undo"),
      retry && el("button", { type: "button", testid: "map-batch-retry", onclick: retry }, "Try again"),
      el("button", { type: "button", class: "quiet", testid: "map-result-close", onclick: () => {
        outcome = null;
        paint();
      } }, "Close")].filter(Boolean));
  }

  function paintThumbs() {
    const sureness = (i) => (model.points.label[i] >= 0 ? 1.1 : model.confidence(i) ?? 0);
    const sign = sort === "sure" ? -1 : 1;
    const shown = [...model.selection].sort((a, b) => sign * (sureness(a) - sureness(b)) || a - b).slice(0, MOST_THUMBS);
    const key = `${sort}|${model.epoch}|${shown.map((i) => `${i}:${model.shownClass[i]}`).join()}`;
    if (key === shownKey) return;
    shownKey = key;
    grid.replaceChildren(...shown.map(thumb));
    setText(more, model.selection.length > MOST_THUMBS ? `The first ${MOST_THUMBS} of ${count(model.selection.length)}.` : "");
  }

  function thumb(i) {
    const labeled = model.points.label[i] >= 0;
    const k = model.shownClass[i];
    const words = `${model.className(k)} ${labeled ? "(label)" : percent(model.confidence(i))}`;
    const value = labeled ? "label" : percent(model.confidence(i));
    return el("figure", { class: "thumb", title: words, onmouseenter: () => actions.point(i), onmouseleave: () => actions.point(-1) },
      el("img", { src: `${base}/thumb/${model.points.ids[i]}`, alt: words, loading: "lazy", width: 64, height: 64, onload: pixelate }),
      el("figcaption", {}, swatchOf(k), el("span", { class: "chip-name" }, model.className(k)), el("span", { class: "faint" }, value)));
  }

  return { node, paint };
}

function pixelate(event) {
  const { naturalWidth, naturalHeight, classList } = event.target;
  if (Math.max(naturalWidth, naturalHeight) <= 96) classList.add("pixels");
}
