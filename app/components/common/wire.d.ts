// What travels between the browser and Starling's routes, as the routes' JSON and binary headers have it.

export type Action = "label" | "accept" | "correct" | "reject" | "skip" | "unsure" | "flag";
export type LabelSource = "imported" | "human" | "confirmed" | "accepted_in_batch" | "accepted_by_threshold";
export type Mark = "reject" | "skip" | "unsure" | "flag";

/** Another image or answer that the one in front is to be compared with. */
export interface Beside {
  image_id: number;
  label: string | null;
  who: string;
}

/** How the confidences of a round are written, from n measured answers; see engine/quality/scale.py. */
export interface Scale {
  tier: "none" | "share" | "words" | "tens" | "percent";
  n: number;
  right: number;
  a: number;
  b: number;
  words: string[];
  brief: string;
  note: string;
}

/**
 * An image as the review shows it. `confidence`: kept with the answer, never written. `top`: the most likely classes with
 * the lengths of their bars, 0..1. `scale`, `step`: how the confidence is written, null where it is no round's. `asked`: by
 * which audit, to be handed back with the answer.
 */
export interface ReviewItem {
  image_id: number;
  name: string;
  width: number;
  height: number;
  version: number;
  label: string | null;
  source: LabelSource | null;
  mark: Mark | null;
  prediction: string | null;
  confidence: number | null;
  top: [string, number][];
  score: number | null;
  why: string;
  round: number | null;
  blind: boolean;
  beside: Beside[];
  scale: Scale | null;
  step: number | null;
  asked: string | null;
}

/** What /queue takes. `only`: which images, as queue_ref.js reads it. */
export interface QueueRequest {
  strategy: string;
  only: string;
  limit: number;
  round: number | null;
  exclude: number[];
}

/** `live`: version of the live model's predictions that order these, "" before its first; null where it orders none. */
export interface QueueAnswer {
  items: ReviewItem[];
  total: number;
  classes: string[];
  live: string | null;
}

/** What /figures takes and answers: what a round says of images now. */
export interface FiguresRequest {
  ids: number[];
  round: number | null;
}

export interface FiguresAnswer {
  items: ReviewItem[];
}

export interface Neighbour {
  image_id: number;
  label: string;
  distance: number;
}

/** What is known beside an image. The three last are equally long: one entry an epoch. */
export interface ImageContext {
  image_id: number;
  neighbours: Neighbour[];
  epochs: number[];
  pseudo_labels: string[];
  confidences: number[];
}

export interface ContextAnswer {
  contexts: ImageContext[];
}

/**
 * One answer of a person. `base_version`: of the label state looked at; `seconds`: how long the image was in front alone;
 * `seen_seconds`: how long its tile was on the screen, 0 for never, null for no tile.
 */
export interface Decision {
  uid: string;
  image_id: number;
  base_version: number;
  action: Action;
  label: string | null;
  round: number | null;
  confidence: number | null;
  batch: string | null;
  seconds: number | null;
  seen_seconds: number | null;
  blind?: boolean;
  asked?: string | null;
  /** who was set when the key was pressed; left out by an earlier version */
  actor?: string;
}

/** The label in force of an image and how it came about. */
export interface LabelState {
  image_id: number;
  version: number;
  label: string | null;
  source: LabelSource | null;
  round: number | null;
  confidence: number | null;
  reviewed: boolean;
  mark: Mark | null;
}

/** The ledger's answer to one decision, given after the commit. */
export interface Ack {
  uid: string;
  status: "saved" | "duplicate" | "conflict" | "refused";
  state: LabelState | null;
  seq: number | null;
  message: string;
}

/** `live`: version of the live model's predictions now, "" before its first. */
export interface DecisionsAnswer {
  acks: Ack[];
  live: string;
}

/** `image`: the one that was taken back, where it was a single one. */
export interface UndoAnswer {
  acks: Ack[];
  image: ReviewItem | null;
}

export interface ClassesAnswer {
  classes: string[];
}

/**
 * The grid as columns of equal length. `label`: index of a class, -1 without one, below that an unknown class; `predicted`: -1
 * without a prediction, whose shares are null; `step`: how the confidence is written by `scale`; `group`: of like images, where
 * these lie together, -1 for none.
 */
export interface GridTable {
  round: number | null;
  classes: string[];
  sort: string;
  total: number;
  ids: number[];
  predicted: number[];
  confidence: (number | null)[];
  scale: Scale;
  step: number[];
  value: (number | null)[];
  version: number[];
  label: number[];
  group: number[] | null;
}

export interface UploadAnswer {
  upload: string;
  name: string;
  bytes: number;
}

export type JobStatus = "none" | "running" | "ready" | "failed" | "cancelled";

/** Head of /map/points: n points drawn of `total`; `grid`: side of the density grid, 0 without one. */
export interface PointsHeader {
  n: number;
  total: number;
  mark: number;
  classes: string[];
  source: string;
  positions: boolean;
  truth: boolean;
  placed: number;
  grid: number;
  version: string;
  status: JobStatus;
  stage: string;
  fraction: number;
  error: string;
  hidden_classes: string[];
}

/**
 * Head of /map/epochs: the epochs sent, from the `first`-th of `all`; `wide`: classes are 16 bits; `scale`: how the round's
 * confidences are written, null while it runs.
 */
export interface EpochsHeader {
  n: number;
  mark: number;
  round: number;
  epochs: number[];
  first: number;
  all: number;
  wide: boolean;
  heldout: ([number, number] | null)[];
  /** Labels that a live round's fit knew; null of a trained round. */
  labels: (number | null)[];
  scale: Scale | null;
}

/** Head of /map/frames: t tracked images at each epoch laid out. The lists are equally long, one entry an epoch. */
export interface FramesHeader {
  status: JobStatus;
  stage: string;
  fraction: number;
  error: string;
  version: string;
  round: number;
  t: number;
  epochs: number[];
  student: boolean;
  teacher: boolean;
  repeated: boolean[];
  reasons: string[];
  recall: (number | null)[];
  moves: (number | null)[];
  smoothed: boolean;
  wide: boolean;
}

export interface NeighboursAnswer {
  ids: number[];
  distances: number[];
}

/** Images of the map that labels do not cover. `called`: what the model calls them, with shares. */
export interface Region {
  ids: number[];
  size: number;
  labeled: number;
  expected: number;
  confidence: number | null;
  overall: number | null;
  centre: number[];
  called: [string, number][];
  reason: string;
}

export interface RegionsAnswer {
  regions: Region[];
}

export interface SelectionAnswer {
  count: number;
}
