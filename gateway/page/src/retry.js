// When to try again, and whether at all. Pure.

const FIRST = [0, 1, 2, 4, 8];
const LONGEST = 15;
/** Seconds in the room after which the attempts before do not count any more. */
const SETTLED = 10;
/** Attempts in a row that may each make a session which comes to nothing. */
const COSTLY = 5;

/** Seconds before the attempt that follows `failures` failed ones: at once, then slower and slower. */
export const pause = (failures) => FIRST[failures] ?? LONGEST;

/** The same, but not before the gateway wants to be asked again. */
export const rest = (failures, after = 0) => Math.max(pause(failures), after);

/** The attempts of one call, with what each of them came to. */
export class Attempts {
  #failures = 0;
  #costly = 0;

  /** `isCall`: whether there was a call before, so that a limit is met by somebody who was let in already. */
  constructor(isCall) {
    this.isCall = isCall;
  }

  /**
   * Seconds until the next attempt, after one that ended with `problem` (as in problems.js); null where there is no
   * use in another. `stay` is how many seconds it was in the room, null where it did not get there.
   */
  next(problem, stay) {
    if (stay !== null) this.isCall = true;
    if (stay >= SETTLED) this.#failures = this.#costly = 0;
    if (problem.isCostly) this.#costly += 1;
    const isTried = problem.passing || (problem.isLimit && this.isCall);
    if (!isTried || this.#costly >= COSTLY) return null;
    this.#failures += 1;
    return rest(this.#failures - 1, problem.after);
  }
}

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
