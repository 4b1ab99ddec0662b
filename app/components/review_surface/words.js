// What the session says of decisions, in words.

const ACTION_WORDS = {
  label: "labeled", accept: "accepted", correct: "corrected", reject: "rejected",
  skip: "skipped", unsure: "unsure", flag: "flagged",
};

function ackWords(entry, ack, record) {
  const name = record?.item.name || `Image ${entry.image_id}`;
  const wanted = entry.label === null ? ACTION_WORDS[entry.action] : `“${entry.label}”`;
  if (ack.status === "refused") return `${name}: ${wanted} was not recorded. ${ack.message || ""}`.trim();
  const label = ack.state?.label;
  const now = label ? `its label is now “${label}”` : "it has no label now";
  return `${name} was changed elsewhere after you saw it: ${now}. Your answer ${wanted} was not recorded.`;
}

function undoConflictWords(acks, image) {
  const label = image?.label ?? acks[0]?.state?.label;
  const now = label ? `the label in force is “${label}”` : "it has no label";
  return `Not undone: ${image?.name || "the image"} was changed since; ${now}.`;
}
