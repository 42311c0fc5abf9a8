import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterwards, Attempts, pause } from '../src/retry.js';

test('the first attempt after a loss is made at once, later ones slower, never slower than 15 s', () => {
  const pauses = Array.from({ length: 8 }, (_, failures) => pause(failures));
  assert.deepEqual(pauses, [0, 1, 2, 4, 8, 15, 15, 15]);
});

const LOST = { passing: true };
const LIMIT = { isLimit: true, after: 10 };
const COSTLY = { passing: true, isCostly: true };
const after = (attempts, ...ends) => ends.map(([problem, stay]) => attempts.next(problem, stay));

test('a room that drops people at once is tried slower and slower, a call that lasted anew', () => {
  const short = Array.from({ length: 4 }, () => [LOST, 2]);
  assert.deepEqual(after(new Attempts(false), ...short, [LOST, 60], [LOST, null]), [0, 1, 2, 4, 0, 1]);
});

test('a limit ends what has not begun, and is waited for by whoever was in the call', () => {
  assert.deepEqual(after(new Attempts(false), [LIMIT, null]), [null]);
  assert.deepEqual(after(new Attempts(false), [LOST, 1], [LIMIT, null]), [0, 10]);
  assert.deepEqual(after(new Attempts(true), [LIMIT, null]), [10]);
});

test('a session that comes to nothing is made five times in a row, no more', () => {
  const failed = Array.from({ length: 5 }, () => [COSTLY, null]);
  assert.deepEqual(after(new Attempts(false), ...failed), [0, 1, 2, 4, null]);
  assert.deepEqual(after(new Attempts(false), ...failed.slice(1), [LOST, 60], ...failed).slice(4), [0, 1, 2, 4, 8, null]);
});

test('what has no use is not tried again', () => assert.deepEqual(after(new Attempts(true), [{}, 60]), [null]));

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
  test(`${reason} ${endReason ?? ''} -> ${next}`, () => assert.equal(afterwards(reason, endReason), next));
}
