// The toolbar above the map and the epoch bar below it.

const MODES = [["pan", "Move"], ["box", "Box"], ["lasso", "Lasso"]];
const SPEEDS = [[2, "2/s"], [5, "5/s"], [12, "12/s"]];

function buildToolbar(actions) {
  const modes = MODES.map(([mode, word]) => el("button", {
    type: "button", class: "segment", testid: `map-mode-${mode}`, "aria-pressed": mode === "pan" ? "true" : "false",
    onclick: () => setMode(mode),
  }, word));
  const size = el("input", {
    type: "range", min: "1.5", max: "12", step: "0.5", "aria-label": "Point size", testid: "map-size", class: "size-slider",
    oninput: () => actions.size(Number(size.value)),
  });
  const fade = checkbox("Fade unsure points", "map-fade", (on) => actions.fade(on));
  fade.box.checked = true;
  const amount = el("span", { class: "faint amount", testid: "map-count" });
  const node = el("div", { class: "toolbar" },
    el("div", { class: "segments", role: "group", "aria-label": "What dragging does" }, ...modes),
    el("button", { type: "button", testid: "map-fit", onclick: actions.fit }, "Fit"),
    el("label", { class: "inline" }, el("span", { class: "faint" }, "Size"), size), fade.node, amount);

  function setMode(mode) {
    MODES.forEach(([other], k) => modes[k].setAttribute("aria-pressed", String(other === mode)));
    actions.mode(mode);
  }
  return {
    node,
    paint(model, radius) {
      if (document.activeElement !== size) size.value = radius;
      setText(amount, model.points ? `${count(model.points.n)} images` : "");
    },
  };
}

function checkbox(text, testid, onChange) {
  const box = el("input", { type: "checkbox", testid, onchange: () => onChange(box.checked) });
  return { box, node: el("label", { class: "inline check" }, box, el("span", {}, text)) };
}

function buildEpochBar(model, actions) {
  let timer = 0;
  const play = el("button", { type: "button", class: "play", testid: "map-play", "aria-label": "Play the epochs", onclick: toggle });
  const slider = el("input", {
    type: "range", min: "0", step: "1", class: "epoch-slider", "aria-label": "Epoch", testid: "map-epoch",
    oninput: () => {
      pause();
      actions.epoch(Number(slider.value));
    },
  });
  const where = el("span", { class: "where", testid: "map-epoch-text" });
  const speed = el("select", { "aria-label": "Epochs a second", testid: "map-speed", onchange: () => timer && restart() },
    ...SPEEDS.map(([value, text]) => el("option", { value, selected: value === 5 }, text)));
  const ring = checkbox("Ring changed since epoch", "map-ring", () => actions.ring(ring.box.checked ? since() : null));
  const from = el("select", { "aria-label": "Changed since this epoch", testid: "map-ring-from", onchange: () => {
    ring.box.checked = true;
    actions.ring(since());
  } });
  const changed = el("span", { class: "changed", testid: "map-changed" });
  const row = el("div", { class: "epoch-row" }, play, slider, where, speed,
    el("span", { class: "ring-group" }, ring.node, from, changed));
  const none = el("p", { class: "faint none", testid: "map-no-epochs" });
  const node = el("div", { class: "epochs" }, row, none);
  let listed = "";

  const since = () => Number(from.value || 0);
  const most = () => (model.epochs ? model.epochs.epochs.length - 1 : 0);

  function toggle() {
    if (timer) pause();
    else restart();
  }
  function restart() {
    clearInterval(timer);
    if (model.epoch >= most()) actions.epoch(0);
    timer = setInterval(step, 1000 / Number(speed.value));
    face();
  }
  function pause() {
    clearInterval(timer);
    timer = 0;
    face();
  }
  function step() {
    if (model.epoch >= most()) pause();
    else actions.epoch(model.epoch + 1);
  }
  function face() {
    play.dataset.playing = timer ? "yes" : "no";
    play.setAttribute("aria-label", timer ? "Pause" : "Play the epochs");
  }

  function paint(problem) {
    const some = model.epochs !== null;
    show(row, some);
    show(none, !some);
    setText(none, problem || "No pseudo-labels yet: they come with the first epoch of a round. Circles are labels.");
    if (!some) {
      pause();
      return;
    }
    const { epochs } = model.epochs;
    const key = epochs.join();
    if (key !== listed) {
      listed = key;
      const kept = from.value;
      from.replaceChildren(...epochs.map((epoch, e) => el("option", { value: e }, epoch)));
      if (kept) from.value = kept;
    }
    slider.max = most();
    slider.value = model.epoch;
    slider.setAttribute("aria-valuetext", `epoch ${epochs[model.epoch]}`);
    setText(where, `epoch ${epochs[model.epoch]} of ${epochs.at(-1)}`);
    setText(changed, model.ringFrom === null ? "" : `${count(model.changed)} changed`);
  }
  face();
  return { node, paint, stop: pause, playing: () => timer !== 0 };
}
