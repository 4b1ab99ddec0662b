// The map: puts its parts together and follows the page's choices.

import { el, focusedBeside, isTyping, releaseAfterClick, setText, show, watchTheme } from "../common/dom.js";
import { mountedOnce } from "../common/mounts.js";
import { createCanvas } from "./canvas.js";
import { FIXED, MOVING } from "./codes.js";
import { buildToolbar } from "./controls.js";
import { buildFilters } from "./filter_row.js";
import { buildVeil, readMapTheme, recallMap, rememberMap, sizeFor } from "./frame.js";
import { buildHover } from "./hover.js";
import { createInk } from "./ink.js";
import { buildLegend } from "./legend.js";
import { createLoader } from "./loader.js";
import { createModel } from "./model.js";
import { buildMoving, movingWords } from "./moving.js";
import { buildPictures } from "./pictures.js";
import { buildPlayer } from "./player.js";
import { watchPointer } from "./pointer.js";
import { buildRegions } from "./regions.js";
import { buildSelection } from "./selection.js";
import { createView } from "./view.js";

/** @import { Given } from "../common/mounts.js" */
/** @import { PaneScene } from "./canvas.js" */
/** @import { Frames, LayoutKind, MapActions, MapData, MapSettings, Pane, Place, Points } from "./types.d.ts" */

/** @type {{ i: number, at: Place }} no point under the pointer */
const NOTHING = { i: -1, at: [0, 0] };

/**
 * The map of one project.
 * @param {HTMLElement} parent
 * @param {Given<MapData>} first
 */
function mountMap(parent, first) {
  const { base } = first.data;
  const model = createModel();
  let { data, setTriggerValue } = first;
  let radius = 5;
  let hovered = NOTHING;
  let problem = "";
  let movingProblem = "";
  /** @type {LayoutKind | ""} */
  let fitted = "";
  let sized = false;
  let chosen = false; // the person has chosen the layout
  let looked = ""; // what regions were looked for last
  /** @type {number | null} */
  let started = null; // the round whose moving map was asked for without a click

  const canvas = el("canvas", { class: "points", testid: "map-canvas" });
  const over = el("canvas", { class: "overlay", "aria-hidden": "true" });
  const lasso = el("canvas", { class: "overlay", "aria-hidden": "true" });
  const veil = buildVeil();
  const captions = el("div", { class: "captions", hidden: true });
  const thenWords = el("span", { testid: "map-then" });
  const nowWords = el("span", { testid: "map-now" });
  captions.append(thenWords, nowWords);
  const hover = buildHover(model, base, () => data.round);
  const area = el("div", {
    class: "area", tabindex: "0", role: "application", testid: "map-area", "data-mode": "pan",
    "aria-label": "Map of the images. Arrow keys move, plus and minus zoom, f fits, Space plays, Control A selects all, Escape clears.",
  }, canvas, over, lasso, captions, hover.node, veil.node);
  const view = createView(canvas, model, () => ({ radius }), () => drawing.request());
  /** @type {MapActions} */
  const actions = {
    pan: view.pan, fit: view.fit, theme: () => theme, clear, changed, hover: onHover, click: onClick,
    zoom(factor, at) {
      view.zoom(factor, at);
      onHover(null);
    },
    mode: (mode) => pointer.setMode(mode),
    size(value) {
      radius = value;
      sized = true;
      drawing.request();
    },
    fade: (on) => changed({ fade: on }),
    colourBy: (by) => changed({ colourBy: by }),
    filter: (next) => changed({ filter: next }),
    compare(change) {
      if (change.since !== undefined && !model.ring && !model.split) change.ring = true;
      changed(change);
      if (change.split !== undefined) view.fit();
    },
    toggleFilters() {
      show(filters.node, filters.node.hidden === true);
      paint();
    },
    focused: () => focusedBeside(map),
    setLayout(kind) {
      chosen = true;
      setLayout(kind);
    },
    moment(next, playing = false) {
      const before = model.epoch;
      if (playing) model.glide(next);
      else model.move(next);
      if (model.epoch !== before) paint();
      else {
        player.paintMoment();
        if (model.plane.moving()) drawing.request();
      }
    },
    toggle(k) {
      model.toggleClass(k);
      changed();
    },
    isolate(k) {
      model.isolate(k);
      changed();
    },
    round: () => data.round,
    saved: () => setTriggerValue("saved", Date.now()), // the page's own counts are drawn anew
    source: () => data.source,
    layout: () => model.plane.kind,
    epochShown: shownEpoch,
    dark: () => map.style.colorScheme === "dark",
    goto: (page, payload) => setTriggerValue("goto", { page, ...payload, at: Date.now() }),
    enclose(path, add) {
      if (!touchable()) return;
      const pane = view.paneAt(path[0]);
      model.enclose(path.map((at) => view.toMap(at, pane)), add, pane.which);
      changed();
    },
    select(indices, ordered = false) {
      model.select(indices, ordered);
      changed();
    },
    selectAll() {
      if (touchable()) actions.select(Array.from(model.hidden.keys()).filter(model.visible));
    },
    point(i) {
      hovered = NOTHING;
      ink.mean(i);
    },
    propose: (name) => selection.propose(name),
    focusSelection: () => selection.focus(),
    play() {
      if (model.epochs) player.toggle();
    },
    canMove: () => data.moving,
    tellMoving: (action) => loader.tell(action),
  };
  const toolbar = buildToolbar(model, actions);
  const filters = buildFilters(model, actions);
  const moving = buildMoving(model, actions);
  const player = buildPlayer(model, actions);
  const legend = buildLegend(model, actions);
  const pictures = buildPictures(base, actions);
  const regions = buildRegions(model, base, actions);
  const selection = buildSelection(model, base, actions);
  toolbar.node.append(pictures.node);
  const side = el("aside", { class: "side" }, legend.node, regions.node, selection.node);
  const left = el("div", { class: "left" }, toolbar.node, filters.node, moving.node, area, player.node);
  const map = el("div", { class: "map", testid: "map" }, left, side);
  chosen = recallMap(model, data);
  parent.append(map);
  releaseAfterClick(map);
  map.addEventListener("keydown", selection.onKey, true); // before the area's own keys: 0 is a class while some are selected

  let theme = readMapTheme(map);
  const drawing = createCanvas(canvas, () => ({
    points: model.points, view: view.now, radius: radius * view.ratio(), colours: model.colours, hidden: model.hidden,
    panes: view.panes().map((pane) => paneScene(pane)), after: () => ink.paint(),
    density: model.plane.kind === FIXED && model.points?.density ? { grid: model.points.grid, counts: model.points.density } : null,
  }), () => theme);
  const ink = createInk(over, model, {
    toArea: view.toArea, ratio: view.ratio, theme: () => theme, radius: () => radius, panes: view.panes, mainPane: view.mainPane,
    regions: () => regions.regions().map((one) => ({ members: one.indices, name: "unlike anything labeled" })),
  });
  const pointer = watchPointer(area, lasso, actions);
  const applyTheme = watchTheme(map, () => {
    theme = readMapTheme(map);
    drawing.request();
  });
  const loader = createLoader(base, model, () => data, {
    points: onPoints,
    pointsFailed(words) {
      if (!model.points) veil.show(words);
    },
    epochs(words) {
      problem = words;
      paint();
    },
    frames: onFrames,
    all: paint,
  });

  // Without a layout all points lie on one spot below the words that say so.
  const touchable = () => Boolean(model.points && (model.points.positions || model.plane.moving()));

  function shownEpoch() {
    return model.epochs ? model.epochs.epochs[model.epoch] : null;
  }

  /**
   * @param {Pane} pane
   * @returns {PaneScene}
   */
  function paneScene(pane) {
    const { x, y } = model.plane.positions(pane.which);
    if (pane.which === "then") return { ...pane, x, y, slotOf: model.slotThen, levels: model.levelsThen, ringed: null };
    return { ...pane, x, y, slotOf: model.slotOf, levels: model.levels, ringed: model.ring ? model.ringed : null };
  }

  /** @param {Points} points */
  function onPoints(points) {
    if (!sized) radius = sizeFor(model.plane.kind === MOVING ? 2000 : points.n);
    if (!chosen && points.positions && model.plane.kind === MOVING) setLayout(FIXED);
    if (!chosen && points.status === "none" && !points.positions && data.moving) setLayout(MOVING);
    cover();
    if (model.plane.kind === MOVING && !model.frames) loader.loadFrames();
    if (fitted !== model.plane.kind && (points.positions || model.plane.moving())) refit();
    lookForRegions();
  }

  /**
   * @param {Frames | null} frames
   * @param {string} words why there are none
   */
  function onFrames(frames, words) {
    movingProblem = words;
    if (frames && model.plane.kind === MOVING && frames.status === "none" && data.moving && started !== data.round) {
      started = data.round;
      loader.tell("start");
    }
    cover();
    if (model.plane.moving() && fitted !== MOVING) refit();
    paint();
  }

  // Once per source, round and state of the map; a running round has no calibrated predictions to go by yet.
  function lookForRegions() {
    const key = `${data.source}|${data.complete ? data.round : "-"}|${model.points?.version}|${model.points?.status}`;
    if (key === looked || model.points?.status !== "ready") return;
    looked = key;
    regions.load(data.source, data.complete ? data.round : null).then(paint);
  }

  // Until its frames are here the moving map has nothing to fit to.
  function refit() {
    fitted = touchable() ? model.plane.kind : "";
    view.fit();
  }

  // Another source has positions of its own; what is selected stays so.
  function forgetPoints() {
    const { points } = model;
    if (points) model.wanted = model.selection.map((i) => points.ids[i]);
    model.points = null;
  }

  // What stands in the map's place while there is nothing to draw.
  function cover() {
    const { points } = model;
    if (!points) return;
    if (model.plane.kind === MOVING) {
      if (model.plane.moving()) veil.hide();
      else if (!data.moving) veil.show("This round has recorded no features yet; they come with its first epoch.");
      else veil.show(movingWords(model), model.frames?.fraction);
    } else if (points.positions) veil.hide();
    else if (points.status === "running") veil.show(`${points.stage || "Computing the map"}…`, points.fraction);
    else veil.show(points.error || "There is no fixed map of these features yet: compute it above.");
  }

  /** @param {LayoutKind} kind */
  function setLayout(kind) {
    model.plane.kind = kind;
    if (!sized && model.points) radius = sizeFor(kind === MOVING ? 2000 : model.points.n);
    if (kind === MOVING) loader.loadFrames();
    model.move();
    if (model.points) cover();
    refit();
    paint();
  }

  /** @param {Partial<MapSettings>} change */
  function changed(change = {}) {
    Object.assign(model, change);
    model.place();
    model.refresh();
    paint();
  }

  function paint() {
    const filtersShown = !filters.node.hidden;
    toolbar.paint(radius, filtersShown);
    if (filtersShown) filters.paint();
    moving.paint(movingProblem);
    player.paint(problem);
    legend.paint();
    regions.paint();
    selection.paint();
    captionPanes();
    side.dataset.selected = model.selection.length ? "yes" : "no";
    map.dataset.layout = model.plane.kind;
    if (hovered.i >= 0) hover.paint(hovered.i, hovered.at, area);
    drawing.request();
  }

  function captionPanes() {
    show(captions, model.split && model.epochs !== null);
    if (!model.epochs) return;
    const { epochs } = model.epochs;
    setText(thenWords, `epoch ${epochs[model.since]}`);
    setText(nowWords, `epoch ${epochs[model.epoch]}`);
  }

  /**
   * The point under a place of the map's area, and where it lies.
   * @param {Place | null} at
   * @returns {{ i: number, at: Place }}
   */
  function under(at) {
    if (!at || !touchable()) return NOTHING;
    const pane = view.paneAt(at);
    const reach = ((radius + 5) * view.ratio()) / view.now.scale;
    const [x, y] = view.toMap(at, pane);
    const i = model.plane.nearestTo(pane.which, x, y, reach);
    if (i < 0) return NOTHING;
    const positions = model.plane.positions(pane.which);
    return { i, at: view.toArea([positions.x[i], positions.y[i]], pane) };
  }

  /** @param {Place | null} at */
  function onHover(at) {
    const point = under(at);
    const { i } = point;
    if (i === hovered.i && i < 0) return;
    hovered = point;
    hover.paint(i, hovered.at, area);
    area.dataset.over = i >= 0 ? "point" : "none";
    ink.mean(i);
  }

  /**
   * @param {Place} at
   * @param {boolean} add
   */
  function onClick(at, add) {
    const { i } = under(at);
    if (i < 0) {
      if (!add) clear();
      return;
    }
    if (!add) model.select([i]);
    else if (model.selected[i]) model.select(model.selection.filter((other) => other !== i));
    else model.select([...model.selection, i]);
    changed();
  }

  function clear() {
    if (!model.points) return;
    model.select([]);
    changed();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.key !== "Escape" || isTyping(event) || document.querySelector("[role=dialog]")) return;
    if (!pointer.cancel() && !selection.cancel()) clear();
  }

  /**
   * A mouse click on a control must not take the keys away from the map.
   * @param {MouseEvent} event
   */
  function keepKeys(event) {
    const target = event.composedPath()[0];
    if (event.detail === 0 || !(target instanceof Element) || target.closest(".picture")) return;
    if (target.closest("button, input[type=checkbox], input[type=range]")) area.focus({ preventScroll: true });
  }

  left.addEventListener("click", keepKeys);
  const watcher = new ResizeObserver(() => {
    if (!view.resize(area)) return;
    drawing.resize(canvas.width, canvas.height);
    for (const layer of [over, lasso]) Object.assign(layer, { width: canvas.width, height: canvas.height });
    view.keep();
    player.paintMoment();
  });
  watcher.observe(area);
  document.addEventListener("keydown", onKey);
  paint();
  loader.loadPoints();

  return {
    base,
    /** @param {Given<MapData>} given */
    update(given) {
      const before = data;
      const next = given.data;
      ({ data, setTriggerValue } = given);
      applyTheme();
      if (next.source !== before.source) forgetPoints();
      if (next.round !== before.round) model.setEpochs(null);
      if (next.source !== before.source) veil.show("Loading the map…");
      if (next.source !== before.source || next.version !== before.version || next.computing !== before.computing) loader.loadPoints();
      if (next.round !== before.round || next.live !== before.live || next.complete !== before.complete) loader.loadEpochs();
      if (next.round !== before.round) model.setFrames(null);
      if (next.round === null && model.plane.kind === MOVING) setLayout(FIXED);
      lookForRegions();
      if (model.plane.kind === MOVING && (next.round !== before.round || next.live !== before.live)) loader.loadFrames();
    },
    remove() {
      rememberMap(model, data, chosen);
      loader.stop();
      player.stop();
      selection.stop();
      drawing.stop();
      watcher.disconnect();
      document.removeEventListener("keydown", onKey);
      map.remove();
    },
  };
}

/**
 * Another project is another map.
 * @param {HTMLElement} parent
 * @param {Given<MapData>} first
 */
function mountMaps(parent, first) {
  let map = mountMap(parent, first);
  return {
    /** @param {Given<MapData>} next */
    update(next) {
      if (next.data.base === map.base) {
        map.update(next);
      } else {
        map.remove();
        map = mountMap(parent, next);
      }
    },
    remove: () => map.remove(),
  };
}

export default mountedOnce(mountMaps);
