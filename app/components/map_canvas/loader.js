// Fetches what the map shows and looks again while something is still being computed or trained.

import { messageOf, postJson } from "../common/http.js";
import { appendEpochs, fetchBinary, parseEpochs, parseFrames, parsePoints } from "./data.js";

/** @import { Epochs, Frames, MapData, MapModel, Points } from "./types.d.ts" */

const COMPUTING_EVERY = 1500; // ms
const LIVE_EVERY = 3000;
const TRY_AGAIN = 1500;

/**
 * Who is told of what has come.
 * @typedef {object} Seen
 * @property {(points: Points) => void} points
 * @property {(words: string) => void} pointsFailed
 * @property {(problem: string) => void} epochs problem: why they cannot be read, "" when they were
 * @property {(frames: Frames | null, problem: string) => void} frames
 * @property {() => void} all the points and their epochs are here
 */

/**
 * @param {string} base
 * @param {MapModel} model
 * @param {() => MapData} current
 * @param {Seen} seen
 */
export function createLoader(base, model, current, seen) {
  /** @type {Map<"points" | "epochs" | "frames", ReturnType<typeof setTimeout>>} */
  const timers = new Map();
  let stopped = false;
  let reloads = 0;

  /**
   * @param {"points" | "epochs" | "frames"} name
   * @param {() => void} work
   * @param {number} delay
   */
  function later(name, work, delay) {
    clearTimeout(timers.get(name));
    timers.set(name, setTimeout(work, delay));
  }

  async function loadPoints() {
    clearTimeout(timers.get("points"));
    const { source, version } = current();
    try {
      const points = parsePoints(await fetchBinary(`${base}/map/points?source=${encodeURIComponent(source)}`));
      if (stopped || source !== current().source) return;
      const changed = !model.points || model.points.mark !== points.mark;
      model.setPoints(points);
      if (points.status === "running") later("points", loadPoints, COMPUTING_EVERY);
      seen.points(points);
      if (changed || !model.epochs) await loadEpochs();
      if (changed && model.frames) model.setFrames(model.frames);
      seen.all();
    } catch (error) {
      if (stopped || source !== current().source) return;
      seen.pointsFailed(messageOf(error));
      later("points", loadPoints, TRY_AGAIN);
    }
    if (!stopped && version !== current().version) loadPoints();
  }

  // Only the epochs that are not here yet are asked for.
  async function loadEpochs() {
    clearTimeout(timers.get("epochs"));
    const { round, source } = current();
    let problem = "";
    if (round === null || !model.points) {
      model.setEpochs(null);
    } else {
      try {
        const known = model.epochs?.round === round && model.epochs.mark === model.points.mark ? model.epochs : null;
        const from = known ? known.epochs.length : 0;
        const address = `${base}/map/epochs?round=${round}&source=${encodeURIComponent(source)}&from=${from}`;
        const answer = parseEpochs(await fetchBinary(address));
        if (stopped || round !== current().round || source !== current().source) return;
        takeEpochs(known, answer);
      } catch (error) {
        if (stopped || round !== current().round) return;
        problem = `The epochs of round ${round} cannot be read: ${messageOf(error)}`;
      }
      if (problem || current().live) later("epochs", loadEpochs, LIVE_EVERY);
    }
    seen.epochs(problem);
  }

  /**
   * @param {Epochs | null} known those here already
   * @param {Epochs} answer those behind them
   */
  function takeEpochs(known, answer) {
    if (answer.mark !== model.points?.mark) {
      reloads += 1; // images were added between the two answers
      if (reloads < 5) later("points", loadPoints, 200);
      return;
    }
    reloads = 0;
    if (known && answer.all < known.epochs.length) model.setEpochs(null);
    else if (known && !answer.epochs.length) Object.assign(known, { heldout: answer.heldout, labels: answer.labels, scale: answer.scale, step: answer.step });
    else model.setEpochs(known ? appendEpochs(known, answer) : answer);
  }

  async function loadFrames() {
    clearTimeout(timers.get("frames"));
    const { round } = current();
    if (round === null || !model.points) {
      model.setFrames(null);
      seen.frames(null, "");
      return;
    }
    try {
      const frames = parseFrames(await fetchBinary(`${base}/map/frames?round=${round}`));
      if (stopped || round !== current().round) return;
      const known = model.frames;
      if (!known || known.round !== round || known.version !== frames.version) model.setFrames(frames);
      else Object.assign(known, { status: frames.status, stage: frames.stage, fraction: frames.fraction, error: frames.error });
      seen.frames(frames, "");
      if (frames.status === "running" || current().live) later("frames", loadFrames, COMPUTING_EVERY);
    } catch (error) {
      if (stopped || round !== current().round) return;
      seen.frames(null, messageOf(error));
      later("frames", loadFrames, LIVE_EVERY);
    }
  }

  /** @param {"start" | "fresh" | "cancel"} action */
  async function tell(action) {
    const { round } = current();
    try {
      await postJson(`${base}/map/moving`, { round, action });
    } catch (error) {
      seen.frames(model.frames, messageOf(error));
      return;
    }
    await loadFrames();
  }

  return {
    loadPoints, loadEpochs, loadFrames, tell,
    stop() {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
