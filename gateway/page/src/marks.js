// User Timing marks of the last attempt to connect, in its order: clicked, token, room, track, audible.
// The benchmark reads them; so does a browser's own performance panel.

const PREFIX = 'voicesession:';
const NAMES = ['clicked', 'token', 'room', 'track', 'audible'];

/** Keeps the first of each name; `clicked` begins anew. */
export function mark(name) {
  if (name === NAMES[0]) NAMES.forEach((each) => performance.clearMarks(PREFIX + each));
  if (performance.getEntriesByName(PREFIX + name).length === 0) performance.mark(PREFIX + name);
}
