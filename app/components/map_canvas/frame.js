// Around the map: what is kept while its page is left, its colours from the theme, and the words over an empty map.

import { cssToRgb, el, setText, show } from "../common/dom.js";
import { MOVING } from "./codes.js";

const mapMemory = () => (globalThis.__starlingMaps ||= new Map());

export const sizeFor = (n) => (n > 20000 ? 2.5 : n > 6000 ? 3.5 : n > 1200 ? 5 : 6);

export function readMapTheme(map) {
  const style = getComputedStyle(map);
  const line = style.getPropertyValue("--st-text-color").trim() || style.color;
  return {
    background: cssToRgb(style.backgroundColor), ink: cssToRgb(line), line, ground: style.backgroundColor,
    accent: style.getPropertyValue("--st-primary-color").trim() || "#888",
  };
}

export function buildVeil() {
  const text = el("p", { testid: "map-message" }, "Loading the map…");
  const fill = el("span", { class: "veil-fill" });
  const track = el("div", { class: "veil-track", hidden: true }, fill);
  const node = el("div", { class: "veil", role: "status" }, text, track);
  return {
    node,
    hide: () => show(node, false),
    show(message, fraction) {
      show(node, true);
      setText(text, message);
      show(track, typeof fraction === "number" && fraction > 0);
      fill.style.transform = `scaleX(${fraction || 0})`;
    },
  };
}

// Takes over what the person had set when the page was left; returns whether the layout was chosen by hand.
export function recallMap(model, base, data) {
  const kept = mapMemory().get(base);
  if (!kept) return false;
  const { colourBy, filter, ring, split, since, fade, wanted } = kept;
  Object.assign(model, { colourBy, filter, ring, split, since, fade, wanted, off: new Set(kept.off) });
  if (kept.round === data.round) model.resumeAt = kept.moment;
  if (kept.layout === MOVING && data.moving) model.plane.kind = MOVING;
  return kept.chosen;
}

export function rememberMap(model, base, { chosen, round }) {
  const { colourBy, filter, ring, split, since, fade, layout } = model;
  const last = !model.epochs || model.epoch === model.epochs.epochs.length - 1;
  mapMemory().set(base, {
    colourBy, filter, ring, split, since, fade, layout, chosen, round, off: [...model.off], moment: last ? null : model.epoch,
    wanted: model.points ? model.selection.map((i) => model.points.ids[i]) : model.wanted,
  });
}
