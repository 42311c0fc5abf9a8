import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterDisconnect, Attempts, backoff } from '../src/retry.js';

test('backoff starts at 0 and grows to 15 s', () => {
  const delays = Array.from({ length: 8 }, (_, failures) => backoff(failures));
  assert.deepEqual(delays, [0, 1, 2, 4, 8, 15, 15, 15]);
});

const LOST = { isTransient: true };
const LIMIT = { isLimit: true, retryAfter: 10 };
const COSTLY = { isTransient: true, isCostly: true };
/** Return the delays after attempts that ended with [problem, secondsInRoom]. */
const delays = (attempts, ...ends) => ends.map(([problem, secondsInRoom]) => attempts.nextDelay(problem, secondsInRoom));

test('delay grows after short calls and restarts after a long call', () => {
  const short = Array.from({ length: 4 }, () => [LOST, 2]);
  assert.deepEqual(delays(new Attempts(false), ...short, [LOST, 60], [LOST, null]), [0, 1, 2, 4, 0, 1]);
});

test('limit ends a new call and delays the return to a call', () => {
  assert.deepEqual(delays(new Attempts(false), [LIMIT, null]), [null]);
  assert.deepEqual(delays(new Attempts(false), [LOST, 1], [LIMIT, null]), [0, 10]);
  assert.deepEqual(delays(new Attempts(true), [LIMIT, null]), [10]);
});

test('fifth costly attempt in a row is the last one', () => {
  const failed = Array.from({ length: 5 }, () => [COSTLY, null]);
  assert.deepEqual(delays(new Attempts(false), ...failed), [0, 1, 2, 4, null]);
  assert.deepEqual(delays(new Attempts(false), ...failed.slice(1), [LOST, 60], ...failed).slice(4), [0, 1, 2, 4, 8, null]);
});

test('permanent problem is not retried', () => assert.deepEqual(delays(new Attempts(true), [{}, 60]), [null]));

const CASES = [
  ['CLIENT_INITIATED', undefined, 'stopped'],
  ['DUPLICATE_IDENTITY', undefined, 'elsewhere'],
  ['PARTICIPANT_REMOVED', undefined, 'over'],
  ['ROOM_DELETED', 'MaxDuration', 'over'],
  ['ROOM_DELETED', 'LastHumanLeft', 'again'],
  ['SERVER_SHUTDOWN', undefined, 'again'],
  ['STATE_MISMATCH', undefined, 'again'],
  ['UNKNOWN_REASON', undefined, 'again'],
];
for (const [reason, endReason, next] of CASES) {
  test(`${reason} ${endReason ?? ''} -> ${next}`, () => assert.equal(afterDisconnect(reason, endReason), next));
}
