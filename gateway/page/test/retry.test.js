import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterwards, pause } from '../src/retry.js';

test('the first attempt after a loss is made at once, later ones slower, never slower than 15 s', () => {
  const pauses = Array.from({ length: 8 }, (_, failures) => pause(failures));
  assert.deepEqual(pauses, [0, 1, 2, 4, 8, 15, 15, 15]);
});

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
