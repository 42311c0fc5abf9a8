// When to try again, and whether at all. Pure.

const FIRST = [0, 1, 2, 4, 8];
const LONGEST = 15;

/** Seconds before the attempt that follows `failures` failed ones: at once, then slower and slower. */
export const pause = (failures) => FIRST[failures] ?? LONGEST;

/**
 * What follows the end of a call: `again` (nobody wanted it to end), `elsewhere` (the same person is in the room
 * from another tab), `over`, or `stopped` (by this page). Reasons are LiveKit's DisconnectReason by name, and the
 * session's own endReason where it is known.
 */
export function afterwards(reason, endReason) {
  if (reason === 'CLIENT_INITIATED') return 'stopped';
  if (reason === 'DUPLICATE_IDENTITY') return 'elsewhere';
  if (reason === 'PARTICIPANT_REMOVED') return 'over';
  if (reason === 'ROOM_DELETED' || reason === 'ROOM_CLOSED') return endReason === 'LastHumanLeft' ? 'again' : 'over';
  return 'again';
}
