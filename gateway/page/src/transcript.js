// What was said, by segment: each text stream tells a segment's text anew, the latest stream wins. Pure.

/** Lines that are kept; older ones are of no use on a page that is open for hours. */
export const LONGEST = 500;
const REMARK = 'remark';

/**
 * The lines with one segment written or rewritten. `stream` counts the streams in the order they began: what a
 * slower, older one still brings for the same segment is dropped.
 */
export function told(lines, { id, who, text, final, stream }) {
  const index = lines.findIndex((line) => line.id === id && line.who === who);
  if (index < 0) return text.trim() ? [...lines, { id, who, text, final, stream }].slice(-LONGEST) : lines;
  if (lines[index].stream > stream) return lines;
  return lines.with(index, { id, who, text, final: final || (lines[index].final && text === lines[index].text), stream });
}

/** The lines with a remark that nobody said; remarks are numbered on from the last one that is kept. */
export function remarked(lines, text) {
  const last = lines.findLast((line) => line.who === REMARK);
  return [...lines, { id: (last?.id ?? 0) + 1, who: REMARK, text, final: true, stream: 0 }].slice(-LONGEST);
}

/** The lines that became final between two states, oldest first. */
export function newlyFinal(before, after) {
  const known = new Set(before.filter((line) => line.final).map(keyOf));
  return after.filter((line) => line.final && !known.has(keyOf(line)));
}

export const keyOf = (line) => `${line.who}/${line.id}`;
