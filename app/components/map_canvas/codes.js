// What the numbers in the map's arrays and the names of its choices mean.

export const NO_CLASS = -1; // no pseudo-label at this epoch
export const NO_TRUTH = -1; // the true class is not known
export const UNKNOWN = -1; // the class shown of an unlabeled point without a pseudo-label
export const [NO_RING, CHANGED, IMPROVED, WORSENED] = [0, 1, 2, 3];
/** @type {"fixed"} */
export const FIXED = "fixed"; // all images, each in its place
/** @type {"moving"} */
export const MOVING = "moving"; // the tracked images of a round, epoch by epoch
/** @type {"label"} */
export const BY_LABEL = "label"; // coloured by label, else by pseudo-label
