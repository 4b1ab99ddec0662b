// What the parts of the map share. An image has one index i in all columns; k is a class's index, e a place in the list of
// epochs, t a place among the tracked images.

import type { EpochsHeader, FramesHeader, LabelState, PointsHeader } from "../common/wire.d.ts";

export type Place = [number, number];
export type LayoutKind = "fixed" | "moving";
export type ColourBy = "label" | "confidence" | "truth" | "changed" | "teacher";
export type PaneName = "now" | "then";

/** What the page asks for. `version` changes when positions or labels are to be fetched again. */
export interface MapData {
  base: string;
  round: number | null;
  source: string;
  version: string;
  computing: boolean;
  live: boolean;
  complete: boolean;
  moving: boolean;
}

/** Positions in -32767 … 32767. */
export interface Positions {
  n: number;
  x: Float32Array;
  y: Float32Array;
}

/** Points by cell of a square grid: those of cell c are members[starts[c]] … members[starts[c + 1] - 1]. */
export interface Buckets {
  side: number;
  cell: number;
  starts: Uint32Array;
  members: Uint32Array;
}

/** The images on the map. `label`, `truth`: classes, -1 for none; `flags`: 1 labeled, 2 reviewed, 4 marked. */
export interface Points extends Omit<PointsHeader, "truth">, Positions {
  ids: Int32Array;
  versions: Int32Array;
  label: Int16Array;
  truth: Int16Array | null;
  flags: Uint8Array;
  density: Uint8Array | null;
  buckets: Buckets;
}

/** Class (-1 for none) and confidence in steps of 1/255 of each image at each epoch. */
export interface Predicted {
  cls: Int16Array[];
  conf: Uint8Array[];
}

/** `step`: how each image's confidence is written after the last epoch. */
export interface Epochs extends EpochsHeader, Predicted {
  step: Uint8Array;
}

/** The moving map. `index`: of each tracked image, -1 where it is not among the points. */
export interface Frames extends Omit<FramesHeader, "student" | "teacher"> {
  ids: Int32Array;
  x: Int16Array[];
  y: Int16Array[];
  student: Predicted | null;
  teacher: Predicted | null;
  index: Int32Array;
}

/** Which points are shown. `flips`: changed class at least so often; `joined`: a class; `below`: a confidence. */
export interface Filter {
  pool: "all" | "unlabeled" | "labeled";
  flips: number;
  joined: number | null;
  below: number;
  differs: boolean;
}

/** Class and confidence of one image. */
export interface Guess {
  k: number;
  p: number;
}

/** Where the points are. `place`: t of each image, -1 for none; `tracked`: 1 where there is one. */
export interface Layout {
  kind: LayoutKind;
  place: Int32Array;
  tracked: Uint8Array;
  now: Positions;
  then: Positions;
  fit(): void;
  moving(): boolean;
  frameOf(e: number): number;
  put(pane: PaneName, moment: number): void;
  positions(which?: PaneName): Positions;
  nearestTo(which: PaneName, x: number, y: number, reach: number): number;
  trail(i: number): Place[];
  guess(who: "student" | "teacher", i: number, e?: number): Guess | null;
}

/** What can be set from outside at once. */
export interface MapSettings {
  colourBy: ColourBy;
  filter: Filter;
  /** Classes that are hidden. */
  off: Set<number>;
  fade: boolean;
  /** Whether what changed since `since` is ringed. */
  ring: boolean;
  /** Whether two epochs are shown side by side. */
  split: boolean;
  /** The epoch compared with. */
  since: number;
}

export interface MapState extends MapSettings {
  points: Points | null;
  epochs: Epochs | null;
  frames: Frames | null;
  /** The epoch shown, and the moment between two. */
  epoch: number;
  moment: number;
  /** The epoch to go to once there are epochs. */
  resumeAt: number | null;
  classes: string[];
  /** Slot of each class among the class colours, -1 for "other". */
  slots: Int16Array;
  colours: string[];
  selection: number[];
  /** Whether the selection's order says something, such as the most typical first. */
  ordered: boolean;
  /** Ids to select once there are points. */
  wanted: number[];
  /** Labeled images and stars of each class. */
  counts: Map<number, [number, number]>;
  changed: number;
  improved: number;
  worsened: number;
  shown: number;
  present: number;
  shownClass: Int16Array;
  slotOf: Uint8Array;
  levels: Uint8Array;
  slotThen: Uint8Array;
  levelsThen: Uint8Array;
  hidden: Uint8Array;
  ringed: Uint8Array;
  selected: Uint8Array;
  /** How often each image's pseudo-label changed. */
  flipped: Uint16Array | null;
}

export interface MapModel extends MapState {
  plane: Layout;
  /** The points of a map that has some; throws before it has. */
  loaded(): Points;
  setPoints(points: Points): void;
  setEpochs(epochs: Epochs | null): void;
  setFrames(frames: Frames | null): void;
  move(moment?: number): void;
  glide(moment: number): void;
  place(): void;
  refresh(): void;
  select(indices: number[], ordered?: boolean): void;
  enclose(polygon: Place[], add: boolean, which: PaneName): void;
  visible(i: number): boolean;
  toggleClass(k: number): void;
  isolate(k: number): void;
  learn(states: LabelState[]): void;
  addClasses(names: string[]): void;
  pseudo(i: number, e?: number): number;
  confidence(i: number, e?: number): number | null;
  right(i: number): number;
  flips(i: number): number;
  student(i: number, e?: number): Guess | null;
  teacher(i: number, e?: number): Guess | null;
  className(k: number): string;
  classColour(k: number): string;
}

export type Rgb = [number, number, number];

export interface MapTheme {
  background: Rgb;
  ink: Rgb;
  line: string;
  ground: string;
  accent: string;
}

/** A strip of the canvas, in device pixels. */
export interface Pane {
  which: PaneName;
  from: number;
  to: number;
}

/** What the parts of the map ask of the whole. */
export interface MapActions {
  pan(dx: number, dy: number): void;
  fit(): void;
  zoom(factor: number, at: Place): void;
  hover(at: Place | null): void;
  click(at: Place, add: boolean): void;
  theme(): MapTheme;
  mode(mode: DragMode): void;
  size(value: number): void;
  fade(on: boolean): void;
  colourBy(by: ColourBy): void;
  filter(next: Filter): void;
  compare(change: Partial<Pick<MapSettings, "since" | "ring" | "split">>): void;
  toggleFilters(): void;
  focused(): Element | null;
  setLayout(kind: LayoutKind): void;
  moment(next: number, playing?: boolean): void;
  toggle(k: number): void;
  isolate(k: number): void;
  round(): number | null;
  source(): string;
  layout(): LayoutKind;
  epochShown(): number | null;
  dark(): boolean;
  /** Takes the person to another page. */
  goto(page: "review" | "export", payload: { count: number }): void;
  /** The page's own counts are drawn anew. */
  saved(): void;
  changed(change?: Partial<MapSettings>): void;
  clear(): void;
  enclose(path: Place[], add: boolean): void;
  select(indices: number[], ordered?: boolean): void;
  selectAll(): void;
  /** Rings one point, none for -1. */
  point(i: number): void;
  propose(name: string): void;
  focusSelection(): void;
  play(): void;
  canMove(): boolean;
  tellMoving(action: "start" | "fresh" | "cancel"): void;
}

export type DragMode = "pan" | "box" | "lasso";
