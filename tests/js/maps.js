// Small maps as the model takes them.

/** Images 1 … n, ten apart on a line. */
export function pointsOf({ label, classes, truth = null, ids = label.map((_, i) => i + 1), mark = 1 }) {
  const n = label.length;
  const x = Float32Array.from({ length: n }, (_, i) => 10 * i);
  const y = new Float32Array(n);
  return {
    n, total: n, mark, classes, source: "pixels", positions: true, placed: n, grid: 0, version: "1", status: "ready", stage: "",
    fraction: 1, error: "", hidden_classes: [], ids: Int32Array.from(ids), versions: new Int32Array(n), x, y,
    label: Int16Array.from(label), truth: truth && Int16Array.from(truth), flags: new Uint8Array(n), density: null,
    buckets: oneBucket(n),
  };
}

function oneBucket(n) {
  return { side: 1, cell: 65536, starts: Uint32Array.from([0, n]), members: Uint32Array.from({ length: n }, (_, i) => i) };
}

/** Epochs 1, 2, … of round 1. */
export function epochsOf({ cls, conf, mark = 1, scale = null, step = cls[0].map(() => 255) }) {
  return {
    n: cls[0].length, mark, round: 1, epochs: cls.map((_, e) => e + 1), first: 0, all: cls.length, wide: false,
    heldout: cls.map(() => null), labels: cls.map(() => null), scale, step: Uint8Array.from(step), cls: cls.map((row) => Int16Array.from(row)), conf: conf.map((row) => Uint8Array.from(row)),
  };
}

/** The tracked images `ids` at each epoch. */
export function framesOf({ ids, epochs = [1, 2], x = epochs.map(() => ids.map(() => 0)), student = null, teacher = null }) {
  const rows = (list) => list.map((row) => Int16Array.from(row));
  const said = (cls) => cls && { cls: rows(cls), conf: cls.map((row) => new Uint8Array(row.length).fill(255)) };
  return {
    status: "ready", stage: "", fraction: 1, error: "", version: "1", round: 1, t: ids.length, epochs, wide: false,
    repeated: epochs.map(() => false), reasons: epochs.map(() => ""), recall: epochs.map(() => 1), moves: epochs.map(() => 0),
    smoothed: true, ids: Int32Array.from(ids), x: rows(x), y: rows(x.map((row) => row.map(() => 0))),
    student: said(student), teacher: said(teacher), index: new Int32Array(0),
  };
}
