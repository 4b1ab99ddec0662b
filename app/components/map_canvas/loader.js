// Fetches what the map shows and looks again while something is still being computed or trained.

import { postJson } from "../common/http.js";
import { appendEpochs, fetchBinary, parseEpochs, parseFrames, parsePoints } from "./data.js";

const COMPUTING_EVERY = 1500; // ms
const LIVE_EVERY = 3000;
const TRY_AGAIN = 1500;

export function createLoader(base, model, current, seen) {
  const timers = {};
  let stopped = false;
  let reloads = 0;
  const later = (name, work, delay) => {
    clearTimeout(timers[name]);
    timers[name] = setTimeout(work, delay);
  };

  async function loadPoints() {
    clearTimeout(timers.points);
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
      seen.pointsFailed(error);
      later("points", loadPoints, TRY_AGAIN);
    }
    if (!stopped && version !== current().version) loadPoints();
  }

  // Only the epochs that are not here yet are asked for.
  async function loadEpochs() {
    clearTimeout(timers.epochs);
    const { round, source } = current();
    let problem = "";
    if (round === null || round === undefined || !model.points) {
      model.setEpochs(null);
    } else {
      try {
        const known = model.epochs?.round === round && model.epochs.mark === model.points.mark ? model.epochs : null;
        const from = known ? known.epochs.length : 0;
        const address = `${base}/map/epochs?round=${round}&source=${encodeURIComponent(source)}&from=${from}`;
        const found = parseEpochs(await fetchBinary(address));
        if (stopped || round !== current().round || source !== current().source) return;
        takeEpochs(known, found);
      } catch (error) {
        if (stopped || round !== current().round) return;
        problem = `The epochs of round ${round} cannot be read: ${error.message}`;
      }
      if (problem || current().live) later("epochs", loadEpochs, LIVE_EVERY);
    }
    seen.epochs(problem);
  }

  function takeEpochs(known, found) {
    if (found.mark !== model.points.mark) {
      reloads += 1; // images were added between the two answers
      if (reloads < 5) later("points", loadPoints, 200);
      return;
    }
    reloads = 0;
    if (known && found.all < known.epochs.length) model.setEpochs(null);
    else if (known && !found.epochs.length) Object.assign(known, { accuracy: found.accuracy });
    else model.setEpochs(known ? appendEpochs(known, found) : found);
  }

  async function loadFrames() {
    clearTimeout(timers.frames);
    const { round } = current();
    if (round === null || round === undefined || !model.points) {
      model.setFrames(null);
      seen.frames(null);
      return;
    }
    try {
      const found = parseFrames(await fetchBinary(`${base}/map/frames?round=${round}`));
      if (stopped || round !== current().round) return;
      const known = model.frames;
      if (!known || known.round !== round || known.version !== found.version) model.setFrames(found);
      else Object.assign(known, { status: found.status, stage: found.stage, fraction: found.fraction, error: found.error });
      seen.frames(found, "");
      if (found.status === "running" || current().live) later("frames", loadFrames, COMPUTING_EVERY);
    } catch (error) {
      if (stopped || round !== current().round) return;
      seen.frames(null, error.message);
      later("frames", loadFrames, LIVE_EVERY);
    }
  }

  // action: "start", "fresh" or "cancel".
  async function tell(action) {
    const { round } = current();
    try {
      await postJson(`${base}/map/moving`, { round, action });
    } catch (error) {
      seen.frames(model.frames, error.message);
      return;
    }
    await loadFrames();
  }

  return {
    loadPoints, loadEpochs, loadFrames, tell,
    stop() {
      stopped = true;
      Object.values(timers).forEach(clearTimeout);
    },
  };
}
