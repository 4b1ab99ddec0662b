// What the map knows at one moment: which class each point shows, how strongly, what is hidden, ringed, selected.

import { BY_LABEL, CHANGED, IMPROVED, NO_CLASS, NO_RING, NO_TRUTH, UNKNOWN, WORSENED } from "./codes.js";
import { insidePolygon, shareOf } from "./data.js";
import { activeFilters, CALM, passes } from "./filters.js";
import { createLayout } from "./layout.js";
import {
  assignSlots, CLASS_COLOURS, DIFFERS_COLOUR, OTHER_COLOUR, RAMP_COLOURS, RAMP_LIMITS, SAME_COLOUR, slotColour,
} from "./palette.js";
import { FULL } from "./sprites.js";

const OTHER_SLOT = CLASS_COLOURS.length;
const RAMP_SLOT = OTHER_SLOT + 1;
const SAME_SLOT = RAMP_SLOT + RAMP_COLOURS.length;
const DIFFERS_SLOT = SAME_SLOT + 1;

export function createModel() {
  const model = {
    points: null, epochs: null, frames: null, epoch: 0, moment: 0, since: 0, slots: new Int16Array(0), classes: [],
    colours: [...CLASS_COLOURS, OTHER_COLOUR, ...RAMP_COLOURS, SAME_COLOUR, DIFFERS_COLOUR],
    colourBy: BY_LABEL, filter: { ...CALM }, off: new Set(), fade: true, ring: false, split: false,
    selection: [], ordered: false, counts: new Map(), changed: 0, improved: 0, worsened: 0, shown: 0, present: 0,
    shownClass: null, slotOf: null, levels: null, slotThen: null, levelsThen: null, hidden: null, ringed: null, selected: null,
    flipped: null, resumeAt: null, wanted: [], // ids to select once there are points
  };
  const layout = createLayout(model);
  model.plane = layout;
  Object.defineProperty(model, "layout", { get: () => layout.kind });

  function setPoints(points) {
    const kept = model.points ? model.selection.map((i) => model.points.ids[i]) : model.wanted;
    const same = model.points && model.points.mark === points.mark;
    model.wanted = [];
    model.points = points;
    model.classes = points.classes;
    const { n } = points;
    model.shownClass = new Int16Array(n);
    for (const name of ["slotOf", "levels", "slotThen", "levelsThen", "hidden", "ringed", "selected"]) model[name] = new Uint8Array(n);
    if (!same) model.epochs = null;
    if (!same) model.flipped = null;
    layout.fit();
    model.selection = [];
    if (kept?.length) {
      const rows = new Map(Array.from(points.ids, (id, i) => [id, i]));
      select(kept.map((id) => rows.get(id)).filter((i) => i !== undefined));
    }
    colour();
    move();
  }

  function setEpochs(epochs) {
    const last = model.epochs ? model.epochs.epochs.length - 1 : -1;
    const follow = model.epochs === null || model.epoch === last;
    model.epochs = epochs && model.points && epochs.mark === model.points.mark && epochs.epochs.length ? epochs : null;
    const most = model.epochs ? model.epochs.epochs.length - 1 : 0;
    model.since = Math.min(model.since, most);
    const begin = model.epochs && model.resumeAt !== null ? model.resumeAt : follow ? most : model.epoch;
    model.epoch = model.moment = Math.min(begin, most); // before anything looks at an epoch
    if (model.epochs) model.resumeAt = null;
    model.flipped = model.epochs ? countFlips(model.epochs, model.points.n) : null;
    colour();
    move();
  }

  function setFrames(frames) {
    model.frames = frames;
    layout.fit();
    move();
  }

  // Shows a moment between two epochs; colours are those of the epoch that is nearer.
  function move(moment = model.moment) {
    model.moment = moment;
    model.epoch = Math.round(moment);
    place();
    refresh();
  }

  // Only the positions: between two epochs the colours stay.
  function glide(moment) {
    if (Math.round(moment) !== model.epoch) return move(moment);
    model.moment = moment;
    return place();
  }

  function place() {
    if (!model.points || !layout.moving()) return;
    layout.put(layout.now, model.moment);
    if (model.split) layout.put(layout.then, model.since);
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
  const confidence = (i, e = model.epoch) => (model.epochs ? shareOf(model.epochs.conf[e][i]) : null);
  // What is known to be right: the label in force, else the truth a benchmark's import kept aside.
  const right = (i) => (model.points.label[i] >= 0 ? model.points.label[i] : model.points.truth ? model.points.truth[i] : NO_TRUTH);

  function refresh() {
    const { points } = model;
    if (!points) return;
    count();
    Object.assign(model, { changed: 0, improved: 0, worsened: 0, shown: 0, present: 0 });
    const moving = layout.moving();
    const some = model.selection.length > 0;
    const filtered = activeFilters(model.filter) > 0;
    for (let i = 0; i < points.n; i += 1) {
      const k = model.shownClass[i];
      const away = moving && !layout.tracked[i];
      model.hidden[i] = away || model.off.has(k) || (filtered && !passes(model, i)) ? 1 : 0;
      if (!away) model.present += 1;
      if (!model.hidden[i]) model.shown += 1;
      model.slotOf[i] = slotAt(i, k, model.epoch);
      model.levels[i] = some && !model.selected[i] ? 1 : strength(i, k, model.epoch);
      model.ringed[i] = model.ring ? ringAt(i) : NO_RING;
      if (model.split) {
        const before = points.label[i] >= 0 ? points.label[i] : pseudo(i, model.since);
        model.slotThen[i] = slotAt(i, before, model.since);
        model.levelsThen[i] = some && !model.selected[i] ? 1 : strength(i, before, model.since);
      }
    }
  }

  function slotAt(i, k, e) {
    if (model.colourBy !== BY_LABEL && model.epochs) return otherSlot(i, k, e);
    if (model.colourBy === "truth") return classSlot(right(i));
    return classSlot(k);
  }

  const classSlot = (k) => (k < 0 || model.slots[k] < 0 ? OTHER_SLOT : model.slots[k]);

  function otherSlot(i, k, e) {
    const labeled = model.points.label[i] >= 0;
    if (model.colourBy === "truth") return classSlot(right(i));
    if (model.colourBy === "confidence") {
      if (labeled || k === UNKNOWN) return OTHER_SLOT;
      return RAMP_SLOT + rampStep(confidence(i, e));
    }
    if (model.colourBy === "changed") return hasChanged(i) ? classSlot(k) : SAME_SLOT;
    const [student, teacher] = [model.student(i, e), model.teacher(i, e)];
    if (!student || !teacher) return OTHER_SLOT;
    return student.k === teacher.k ? SAME_SLOT : DIFFERS_SLOT;
  }

  function hasChanged(i) {
    if (model.points.label[i] >= 0) return false;
    const [from, now] = [pseudo(i, model.since), pseudo(i)];
    return from !== UNKNOWN && now !== UNKNOWN && from !== now;
  }

  function ringAt(i) {
    if (!hasChanged(i)) return NO_RING;
    const truth = right(i);
    const kind = truth === NO_TRUTH ? CHANGED : pseudo(i) === truth ? IMPROVED : pseudo(i, model.since) === truth ? WORSENED : CHANGED;
    if (!model.hidden[i]) {
      model.changed += 1;
      if (kind === IMPROVED) model.improved += 1;
      if (kind === WORSENED) model.worsened += 1;
    }
    return kind;
  }

  function strength(i, k, e) {
    const by = model.colourBy;
    if (by === "changed" && !hasChanged(i)) return 2;
    if (by === "teacher") return model.slotOf[i] === DIFFERS_SLOT ? FULL : 2;
    if (by !== BY_LABEL && by !== "changed") return model.slotOf[i] === OTHER_SLOT && model.points.label[i] < 0 ? 2 : FULL;
    if (model.points.label[i] >= 0 || !model.fade) return FULL;
    if (k === UNKNOWN) return model.epochs ? 3 : 5;
    return Math.max(1, Math.min(FULL, Math.round(confidence(i, e) * FULL)));
  }

  function count() {
    const { points, counts } = model;
    counts.clear();
    for (let k = UNKNOWN; k < model.classes.length; k += 1) counts.set(k, [0, 0]);
    const moving = layout.moving();
    for (let i = 0; i < points.n; i += 1) {
      const labeled = points.label[i] >= 0;
      const k = labeled ? points.label[i] : pseudo(i);
      model.shownClass[i] = k;
      if (!moving || layout.tracked[i]) (counts.get(k) || counts.get(UNKNOWN))[labeled ? 0 : 1] += 1;
    }
  }

  function select(indices, ordered = false) {
    model.selection = indices;
    model.ordered = ordered; // the order says something, such as the most typical first
    model.selected.fill(0);
    for (const i of indices) model.selected[i] = 1;
  }

  function enclose(polygon, add, which) {
    const found = insidePolygon({ ...layout.positions(which), n: model.points.n }, polygon, visible);
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

  function addClasses(names) {
    model.classes = model.points.classes = [...names];
    colour();
  }

  return Object.assign(model, {
    setPoints, setEpochs, setFrames, move, glide, place, refresh, select, enclose, visible, toggleClass, isolate, learn, addClasses,
    pseudo, confidence, right,
    flips: (i) => (model.flipped ? model.flipped[i] : 0),
    student: (i, e) => layout.said("student", i, e),
    teacher: (i, e) => layout.said("teacher", i, e),
    className: (k) => (k === UNKNOWN ? "unlabeled" : model.classes[k]),
    classColour: (k) => (k === UNKNOWN ? OTHER_COLOUR : slotColour(model.slots[k])),
  });
}

// Confidences crowd near 1, so the steps do as well.
function rampStep(p) {
  const step = RAMP_LIMITS.findIndex((limit) => p < limit);
  return step < 0 ? RAMP_LIMITS.length : step;
}

// How often each point's pseudo-label changed over the epochs, at most 65535.
function countFlips({ cls }, n) {
  const flips = new Uint16Array(n);
  for (let e = 1; e < cls.length; e += 1) {
    const [row, before] = [cls[e], cls[e - 1]];
    for (let i = 0; i < n; i += 1) if (row[i] !== before[i] && before[i] !== NO_CLASS && row[i] !== NO_CLASS) flips[i] += 1;
  }
  return flips;
}

function total(pair) {
  return pair ? pair[0] + pair[1] : 0;
}
