// Transcript by segment. Each text stream brings the complete text of a segment; the latest stream wins. Pure.

/** Lines kept; a page may stay open for hours. */
export const MAX_LINES = 500;
const REMARK = 'remark';

/**
 * Return the lines with one segment added or replaced. `stream` numbers the streams by their start; text of an older
 * stream of the same segment is dropped.
 */
export function applySegment(lines, { id, speaker, text, final, stream }) {
  const index = lines.findIndex((line) => line.id === id && line.speaker === speaker);
  if (index < 0) return text.trim() ? [...lines, { id, speaker, text, final, stream }].slice(-MAX_LINES) : lines;
  if (lines[index].stream > stream) return lines;
  const isFinal = final || (lines[index].final && text === lines[index].text);
  return lines.with(index, { id, speaker, text, final: isFinal, stream });
}

/** Return the lines with a remark of the page. A remark's number follows the last remark that is kept. */
export function addRemark(lines, text) {
  const last = lines.findLast((line) => line.speaker === REMARK);
  return [...lines, { id: (last?.id ?? 0) + 1, speaker: REMARK, text, final: true, stream: 0 }].slice(-MAX_LINES);
}

/** Return the lines that became final between two states, oldest first. */
export function newlyFinal(before, after) {
  const known = new Set(before.filter((line) => line.final).map(keyOf));
  return after.filter((line) => line.final && !known.has(keyOf(line)));
}

export const keyOf = (line) => `${line.speaker}/${line.id}`;
