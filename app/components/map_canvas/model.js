// What the map knows at one moment: which class each point shows, how strongly, what is hidden, ringed, selected.

const UNKNOWN = -1; // an unlabeled point without a pseudo-label

function createModel() {
  const model = {
    points: null, epochs: null, epoch: 0, slots: new Int16Array(0), classes: [], colours: [...CLASS_COLOURS, OTHER_COLOUR],
    off: new Set(), fade: true, ringFrom: null, selection: [], counts: new Map(), changed: 0,
    shownClass: null, slotOf: null, levels: null, hidden: null, ringed: null, selected: null,
  };

  function setPoints(points) {
    const kept = model.points && model.selection.map((i) => model.points.ids[i]);
    model.points = points;
    model.classes = points.classes;
    const { n } = points;
    model.shownClass = new Int16Array(n);
    for (const name of ["slotOf", "levels", "hidden", "ringed", "selected"]) model[name] = new Uint8Array(n);
    if (model.epochs && model.epochs.n !== n) model.epochs = null;
    model.selection = [];
    if (kept?.length) {
      const wanted = new Set(kept);
      select([...points.ids.keys()].filter((i) => wanted.has(points.ids[i])));
    }
    colour();
    refresh();
  }

  function setEpochs(epochs) {
    const last = model.epochs ? model.epochs.epochs.length - 1 : -1;
    const follow = model.epochs === null || model.epoch === last;
    model.epochs = epochs && model.points && epochs.n === model.points.n && epochs.epochs.length ? epochs : null;
    const most = model.epochs ? model.epochs.epochs.length - 1 : 0;
    model.epoch = follow ? most : Math.min(model.epoch, most);
    if (model.ringFrom !== null) model.ringFrom = Math.min(model.ringFrom, most);
    colour();
    refresh();
  }

  // Colours stay as they are while the epochs go by: they are given out once for the data at hand.
  function colour() {
    count();
    model.slots = assignSlots(model.classes, model.classes.map((_, k) => total(model.counts.get(k))));
  }

  const pseudo = (i, e = model.epoch) => {
    const found = model.epochs ? model.epochs.cls[e][i] : NO_CLASS;
    return found === NO_CLASS ? UNKNOWN : found;
  };
  const confidence = (i, e = model.epoch) => (model.epochs ? model.epochs.conf[e][i] / 255 : null);

  function refresh() {
    const { points } = model;
    if (!points) return;
    count();
    const other = model.colours.length - 1;
    const from = model.ringFrom === null || !model.epochs ? null : model.epochs.cls[model.ringFrom];
    const some = model.selection.length > 0;
    model.changed = 0;
    for (let i = 0; i < points.n; i += 1) {
      const k = model.shownClass[i];
      const slot = k === UNKNOWN ? -1 : model.slots[k];
      model.slotOf[i] = slot < 0 ? other : slot;
      model.hidden[i] = model.off.has(k) ? 1 : 0;
      model.levels[i] = some && !model.selected[i] ? 1 : strength(i, k);
      const moved = from !== null && points.label[i] < 0 && from[i] !== NO_CLASS && k !== UNKNOWN && from[i] !== k;
      model.ringed[i] = moved ? 1 : 0;
      if (moved && !model.hidden[i]) model.changed += 1;
    }
  }

  function strength(i, k) {
    if (model.points.label[i] >= 0 || !model.fade) return FULL;
    if (k === UNKNOWN) return model.epochs ? 3 : 5;
    return Math.max(1, Math.min(FULL, Math.round(confidence(i) * FULL)));
  }

  function count() {
    const { points, counts } = model;
    counts.clear();
    for (let k = UNKNOWN; k < model.classes.length; k += 1) counts.set(k, [0, 0]);
    for (let i = 0; i < points.n; i += 1) {
      const labeled = points.label[i] >= 0;
      const k = labeled ? points.label[i] : pseudo(i);
      model.shownClass[i] = k;
      (counts.get(k) || counts.get(UNKNOWN))[labeled ? 0 : 1] += 1;
    }
  }

  function select(indices) {
    model.selection = indices;
    model.selected.fill(0);
    for (const i of indices) model.selected[i] = 1;
  }

  function enclose(polygon, add) {
    const found = insidePolygon(model.points, polygon, visible);
    select(add ? [...new Set([...model.selection, ...found])] : found);
  }

  const visible = (i) => !model.hidden[i];

  function toggleClass(k) {
    if (model.off.has(k)) model.off.delete(k);
    else model.off.add(k);
  }

  function isolate(k) {
    const others = [...model.counts.keys()].filter((other) => other !== k);
    const alone = !model.off.has(k) && others.every((other) => model.off.has(other));
    model.off = new Set(alone ? [] : others);
  }

  // Takes over what the ledger says is in force now.
  function learn(states) {
    const places = new Map(Array.from(model.points.ids, (id, i) => [id, i]));
    for (const state of states) {
      const i = places.get(state.image_id);
      if (i === undefined) continue;
      model.points.label[i] = state.label === null ? -1 : model.classes.indexOf(state.label);
      model.points.versions[i] = state.version;
      model.points.flags[i] = (state.label === null ? 0 : 1) | (state.reviewed ? 2 : 0) | (state.mark ? 4 : 0);
    }
  }

  return Object.assign(model, {
    setPoints, setEpochs, refresh, select, enclose, visible, toggleClass, isolate, learn, pseudo, confidence,
    className: (k) => (k === UNKNOWN ? "no pseudo-label" : model.classes[k]),
    classColour: (k) => (k === UNKNOWN ? OTHER_COLOUR : slotColour(model.slots[k])),
  });
}

function total(pair) {
  return pair ? pair[0] + pair[1] : 0;
}
