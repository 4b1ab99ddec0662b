// What the map knows at one moment: which class each point shows, how strongly, what is hidden, ringed, selected.

import { BY_LABEL, CHANGED, IMPROVED, NO_CLASS, NO_RING, NO_TRUTH, UNKNOWN, WORSENED } from "./codes.js";
import { insidePolygon, shareOf } from "./data.js";
import { activeFilters, CALM, passes } from "./filters.js";
import { createLayout } from "./layout.js";
import {
  assignSlots, CLASS_COLOURS, DIFFERS_COLOUR, OTHER_COLOUR, RAMP_COLOURS, RAMP_LIMITS, SAME_COLOUR, slotColour,
} from "./palette.js";
import { placesFor, placesOf } from "./places.js";
import { FULL } from "./sprites.js";

/** @import { LabelState } from "../common/wire.d.ts" */
/** @import { Epochs, Frames, MapModel, MapState, PaneName, Place, Points } from "./types.d.ts" */

const OTHER_SLOT = CLASS_COLOURS.length;
const RAMP_SLOT = OTHER_SLOT + 1;
const SAME_SLOT = RAMP_SLOT + RAMP_COLOURS.length;
const DIFFERS_SLOT = SAME_SLOT + 1;

/** @returns {MapModel} */
export function createModel() {
  const model = /** @type {MapModel} */ (emptyState()); // its methods come at the end
  const layout = createLayout(model);
  model.plane = layout;

  function loaded() {
    if (model.points === null) throw new Error("the map has no points yet");
    return model.points;
  }

  /** @param {Points} points */
  function setPoints(points) {
    const before = model.points;
    const ids = before ? model.selection.map((i) => before.ids[i]) : model.wanted;
    const same = before?.mark === points.mark;
    const { n } = points;
    Object.assign(model, columnsOf(n), { wanted: [], points, classes: points.classes, selection: [] });
    if (!same) Object.assign(model, { epochs: null, flipped: null });
    layout.fit();
    if (ids.length) select(placesFor(points, ids));
    colour();
    move();
  }

  /** @param {Epochs | null} epochs */
  function setEpochs(epochs) {
    const last = model.epochs ? model.epochs.epochs.length - 1 : -1;
    const follow = model.epochs === null || model.epoch === last;
    const fits = epochs !== null && model.points !== null && epochs.mark === model.points.mark && epochs.epochs.length > 0;
    model.epochs = fits ? epochs : null;
    const most = model.epochs ? model.epochs.epochs.length - 1 : 0;
    model.since = Math.min(model.since, most);
    const begin = model.epochs && model.resumeAt !== null ? model.resumeAt : follow ? most : model.epoch;
    model.epoch = model.moment = Math.min(begin, most); // before anything looks at an epoch
    if (model.epochs) model.resumeAt = null;
    model.flipped = model.epochs && model.points ? countFlips(model.epochs, model.points.n) : null;
    if (model.points) colour();
    move();
  }

  /** @param {Frames | null} frames */
  function setFrames(frames) {
    model.frames = frames;
    layout.fit();
    move();
  }

  /**
   * Shows a moment between two epochs; colours are those of the epoch that is nearer.
   * @param {number} moment
   */
  function move(moment = model.moment) {
    model.moment = moment;
    model.epoch = Math.round(moment);
    place();
    refresh();
  }

  /**
   * Only the positions: between two epochs the colours stay.
   * @param {number} moment
   */
  function glide(moment) {
    if (Math.round(moment) !== model.epoch) {
      move(moment);
      return;
    }
    model.moment = moment;
    place();
  }

  function place() {
    if (!model.points || !layout.moving()) return;
    layout.put("now", model.moment);
    if (model.split) layout.put("then", model.since);
  }

  // Colours stay as they are while the epochs go by: they are given out once for the data at hand.
  function colour() {
    count(loaded());
    model.slots = assignSlots(model.classes, model.classes.map((_, k) => total(model.counts.get(k))));
  }

  const pseudo = (/** @type {number} */ i, e = model.epoch) => {
    const k = model.epochs ? model.epochs.cls[e][i] : NO_CLASS;
    return k === NO_CLASS ? UNKNOWN : k;
  };
  const confidence = (/** @type {number} */ i, e = model.epoch) => (model.epochs ? shareOf(model.epochs.conf[e][i]) : null);

  /**
   * What is known to be right: the label in force, else the truth a benchmark's import kept aside.
   * @param {number} i
   */
  function right(i) {
    const { label, truth } = loaded();
    return label[i] >= 0 ? label[i] : truth ? truth[i] : NO_TRUTH;
  }

  function refresh() {
    const { points } = model;
    if (!points) return;
    count(points);
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

  /**
   * @param {number} i
   * @param {number} k
   * @param {number} e
   */
  function slotAt(i, k, e) {
    if (model.colourBy !== BY_LABEL && model.epochs) return otherSlot(i, k, e);
    if (model.colourBy === "truth") return classSlot(right(i));
    return classSlot(k);
  }

  /** @param {number} k */
  const classSlot = (k) => (k < 0 || model.slots[k] < 0 ? OTHER_SLOT : model.slots[k]);

  /**
   * @param {number} i
   * @param {number} k
   * @param {number} e
   */
  function otherSlot(i, k, e) {
    const labeled = loaded().label[i] >= 0;
    if (model.colourBy === "truth") return classSlot(right(i));
    if (model.colourBy === "confidence") {
      if (labeled || k === UNKNOWN) return OTHER_SLOT;
      return RAMP_SLOT + rampStep(confidence(i, e) ?? 0);
    }
    if (model.colourBy === "changed") return hasChanged(i) ? classSlot(k) : SAME_SLOT;
    const [student, teacher] = [model.student(i, e), model.teacher(i, e)];
    if (!student || !teacher) return OTHER_SLOT;
    return student.k === teacher.k ? SAME_SLOT : DIFFERS_SLOT;
  }

  /** @param {number} i */
  function hasChanged(i) {
    if (loaded().label[i] >= 0) return false;
    const [from, now] = [pseudo(i, model.since), pseudo(i)];
    return from !== UNKNOWN && now !== UNKNOWN && from !== now;
  }

  /** @param {number} i */
  function ringAt(i) {
    if (!hasChanged(i)) return NO_RING;
    const kind = changeAt(i);
    if (!model.hidden[i]) {
      model.changed += 1;
      if (kind === IMPROVED) model.improved += 1;
      if (kind === WORSENED) model.worsened += 1;
    }
    return kind;
  }

  /** @param {number} i of an image that has changed */
  function changeAt(i) {
    const truth = right(i);
    if (truth === NO_TRUTH) return CHANGED;
    if (pseudo(i) === truth) return IMPROVED;
    return pseudo(i, model.since) === truth ? WORSENED : CHANGED;
  }

  /**
   * @param {number} i
   * @param {number} k
   * @param {number} e
   */
  function strength(i, k, e) {
    const by = model.colourBy;
    const labeled = loaded().label[i] >= 0;
    if (by === "changed" && !hasChanged(i)) return 2;
    if (by === "teacher") return model.slotOf[i] === DIFFERS_SLOT ? FULL : 2;
    if (by !== BY_LABEL && by !== "changed") return model.slotOf[i] === OTHER_SLOT && !labeled ? 2 : FULL;
    if (labeled || !model.fade) return FULL;
    if (k === UNKNOWN) return model.epochs ? 3 : 5;
    return Math.max(1, Math.min(FULL, Math.round((confidence(i, e) ?? 0) * FULL)));
  }

  /** @param {Points} points */
  function count(points) {
    const { counts } = model;
    /** @type {[number, number]} */
    const unknown = [0, 0];
    counts.clear();
    counts.set(UNKNOWN, unknown);
    for (let k = 0; k < model.classes.length; k += 1) counts.set(k, [0, 0]);
    const moving = layout.moving();
    for (let i = 0; i < points.n; i += 1) {
      const labeled = points.label[i] >= 0;
      const k = labeled ? points.label[i] : pseudo(i);
      model.shownClass[i] = k;
      if (!moving || layout.tracked[i]) (counts.get(k) ?? unknown)[labeled ? 0 : 1] += 1;
    }
  }

  /**
   * @param {number[]} indices
   * @param {boolean} ordered
   */
  function select(indices, ordered = false) {
    model.selection = indices;
    model.ordered = ordered;
    model.selected.fill(0);
    for (const i of indices) model.selected[i] = 1;
  }

  /**
   * @param {Place[]} polygon
   * @param {boolean} add to what is selected
   * @param {PaneName} which
   */
  function enclose(polygon, add, which) {
    const enclosed = insidePolygon({ ...layout.positions(which), n: loaded().n }, polygon, visible);
    select(add ? [...new Set([...model.selection, ...enclosed])] : enclosed);
  }

  const visible = (/** @type {number} */ i) => !model.hidden[i];

  /** @param {number} k */
  function toggleClass(k) {
    if (model.off.has(k)) model.off.delete(k);
    else model.off.add(k);
  }

  /** @param {number} k */
  function isolate(k) {
    const others = [...model.counts.keys()].filter((other) => other !== k);
    const alone = !model.off.has(k) && others.every((other) => model.off.has(other));
    model.off = new Set(alone ? [] : others);
  }

  /**
   * Takes over what the ledger says is in force now.
   * @param {LabelState[]} states
   */
  function learn(states) {
    const points = loaded();
    const places = placesOf(points);
    for (const state of states) {
      const i = places.get(state.image_id);
      if (i === undefined) continue;
      points.label[i] = state.label === null ? -1 : model.classes.indexOf(state.label);
      points.versions[i] = state.version;
      points.flags[i] = (state.label === null ? 0 : 1) | (state.reviewed ? 2 : 0) | (state.mark ? 4 : 0);
    }
  }

  /** @param {string[]} names all classes */
  function addClasses(names) {
    model.classes = loaded().classes = [...names];
    colour();
  }

  /** @type {Omit<MapModel, keyof MapState | "plane">} */
  const methods = {
    loaded, setPoints, setEpochs, setFrames, move, glide, place, refresh, select, enclose, visible, toggleClass, isolate,
    learn, addClasses, pseudo, confidence, right,
    flips: (i) => (model.flipped ? model.flipped[i] : 0),
    student: (i, e) => layout.guess("student", i, e),
    teacher: (i, e) => layout.guess("teacher", i, e),
    className: (k) => (k === UNKNOWN ? "unlabeled" : model.classes[k]),
    classColour: (k) => (k === UNKNOWN ? OTHER_COLOUR : slotColour(model.slots[k])),
  };
  return Object.assign(model, methods);
}

/** @returns {MapState} */
function emptyState() {
  return {
    points: null, epochs: null, frames: null, epoch: 0, moment: 0, since: 0, slots: new Int16Array(0), classes: [],
    colours: [...CLASS_COLOURS, OTHER_COLOUR, ...RAMP_COLOURS, SAME_COLOUR, DIFFERS_COLOUR],
    colourBy: BY_LABEL, filter: { ...CALM }, off: new Set(), fade: true, ring: false, split: false,
    selection: [], ordered: false, counts: new Map(), changed: 0, improved: 0, worsened: 0, shown: 0, present: 0,
    ...columnsOf(0), flipped: null, resumeAt: null, wanted: [],
  };
}

/** @param {number} n */
function columnsOf(n) {
  const bytes = () => new Uint8Array(n);
  return {
    shownClass: new Int16Array(n), slotOf: bytes(), levels: bytes(), slotThen: bytes(), levelsThen: bytes(),
    hidden: bytes(), ringed: bytes(), selected: bytes(),
  };
}

/**
 * Confidences crowd near 1, so the steps do as well.
 * @param {number} p
 */
function rampStep(p) {
  const step = RAMP_LIMITS.findIndex((limit) => p < limit);
  return step < 0 ? RAMP_LIMITS.length : step;
}

/**
 * How often each point's pseudo-label changed over the epochs, at most 65535.
 * @param {Epochs} epochs
 * @param {number} n
 */
function countFlips({ cls }, n) {
  const flips = new Uint16Array(n);
  for (let e = 1; e < cls.length; e += 1) {
    const [row, before] = [cls[e], cls[e - 1]];
    for (let i = 0; i < n; i += 1) if (row[i] !== before[i] && before[i] !== NO_CLASS && row[i] !== NO_CLASS) flips[i] += 1;
  }
  return flips;
}

/** @param {[number, number] | undefined} pair */
function total(pair) {
  return pair ? pair[0] + pair[1] : 0;
}
