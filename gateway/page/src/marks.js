// User Timing marks of the latest attempt to connect, in this order: clicked, token, room, track, audible.
// The benchmark and the browser's performance panel read them.

const PREFIX = 'voicesession:';
const NAMES = ['clicked', 'token', 'room', 'track', 'audible'];

/** Set a mark unless it exists; `clicked` clears all marks first. */
export function mark(name) {
  if (name === NAMES[0]) NAMES.forEach((each) => performance.clearMarks(PREFIX + each));
  if (performance.getEntriesByName(PREFIX + name).length === 0) performance.mark(PREFIX + name);
}
