// Decisions about new attempts: whether to try again, and after which pause. Pure.

const BACKOFF_SECONDS = [0, 1, 2, 4, 8];
const MAX_BACKOFF_SECONDS = 15;
/** After this time in the room, earlier failures no longer count. */
const STABLE_SECONDS = 10;
/** Limit of successive attempts that may each have created a session without success. */
const MAX_COSTLY_ATTEMPTS = 5;

/** Return the seconds before the attempt that follows `failures` failed attempts. */
export const backoff = (failures) => BACKOFF_SECONDS[failures] ?? MAX_BACKOFF_SECONDS;

/** Return the backoff, but at least the gateway's Retry-After. */
export const retryDelay = (failures, retryAfter = 0) => Math.max(backoff(failures), retryAfter);

/** The attempts of one call and their results. */
export class Attempts {
  #failures = 0;
  #costly = 0;

  /** `wasInCall`: the human was in this call before, so a limit is worth waiting for. */
  constructor(wasInCall) {
    this.wasInCall = wasInCall;
  }

  /**
   * Return the seconds until the next attempt, or null if another attempt is useless. `problem` (see problems.js)
   * ended the last attempt after `secondsInRoom`, which is null if it never reached the room.
   */
  nextDelay(problem, secondsInRoom) {
    if (secondsInRoom !== null) this.wasInCall = true;
    if (secondsInRoom >= STABLE_SECONDS) this.#failures = this.#costly = 0;
    if (problem.isCostly) this.#costly += 1;
    const isRetried = problem.isTransient || (problem.isLimit && this.wasInCall);
    if (!isRetried || this.#costly >= MAX_COSTLY_ATTEMPTS) return null;
    this.#failures += 1;
    return retryDelay(this.#failures - 1, problem.retryAfter);
  }
}

/**
 * Return the next step after a disconnect: `again` (unintended), `elsewhere` (the same identity joined from another
 * tab), `over`, or `stopped` (by this page). `reason` is the name of LiveKit's DisconnectReason; `endReason` is the
 * session's own, if it is known.
 */
export function afterDisconnect(reason, endReason) {
  if (reason === 'CLIENT_INITIATED') return 'stopped';
  if (reason === 'DUPLICATE_IDENTITY') return 'elsewhere';
  if (reason === 'PARTICIPANT_REMOVED') return 'over';
  if (reason === 'ROOM_DELETED' || reason === 'ROOM_CLOSED') return endReason === 'LastHumanLeft' ? 'again' : 'over';
  return 'again';
}
