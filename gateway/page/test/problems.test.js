import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ended, explain, GatewayError } from '../src/problems.js';

const named = (name, message = '') => Object.assign(new Error(message), { name });
const answer = (status, code, message) =>
  new Error(`Error generating token from endpoint /token: received ${status} / ${JSON.stringify({ error: { code, message } })}`);

test('a denied microphone is told with its mend, and not tried again by itself', () => {
  const told = explain(named('NotAllowedError', 'Permission denied'));
  assert.equal(told.about, 'microphone');
  assert.ok(!told.passing);
  assert.match(told.text, /Allow it/);
});

test('a gateway that cannot be reached is tried again', () => {
  assert.deepEqual([explain(new TypeError('Failed to fetch')).passing, explain(named('TimeoutError')).passing], [true, true]);
  assert.ok(explain(answer(502, '', '')).passing);
});

test('a media server that cannot be reached is tried again', () => {
  const told = explain(named('ConnectionError', 'could not establish signal connection'));
  assert.ok(told.passing);
  assert.match(told.text, /LiveKit/);
});

test('the reason of a gateway reaches the person', () => {
  const told = explain(answer(504, 'Retryable', 'the room: LiveKit does not answer'));
  assert.ok(told.passing);
  assert.equal(told.text, 'The room: LiveKit does not answer.');
});

test('what may have made a session costs one, an outage of Kubernetes does not', () => {
  const told = [answer(504, 'StartDeadline', ''), answer(503, 'AgentLost', ''), answer(503, 'Unavailable', '')].map(explain);
  assert.deepEqual(told.map((each) => [each.passing, each.isCostly]), [[true, true], [true, true], [true, false]]);
});

test('a session that can never be, or that was ended on purpose, is not tried again', () => {
  const told = [answer(503, 'Invalid', 'no such agent'), answer(503, 'Requested', 'it was asked to end')].map(explain);
  assert.ok(told.every((each) => !each.passing));
});

test('a limit says when to ask again, as far as that can be known', () => {
  assert.equal(explain(new GatewayError(429, '', 7)).after, 7);
  assert.equal(explain(answer(429, 'TooManySessions', '')).after, 10);
});

test('a limit, an unknown agent and a missing key are not tried again by themselves', () => {
  const told = [answer(429, 'TooManySessions', 'this caller has 5'), answer(404, 'UnknownAgent', 'there is none')].map(explain);
  assert.ok(told.every((each) => !each.passing));
  assert.deepEqual(told.map((each) => each.text), ['This caller has 5.', 'There is none.']);
  assert.equal(explain(new GatewayError(401, '')).about, 'key');
});

test('an answer that is no JSON is still a problem', () => {
  assert.equal(explain(new GatewayError(400, '<html>')).text, 'The server answered 400.');
});

test('the end of a session says why', () => {
  assert.match(ended('over', { endReason: 'MaxDuration' }).text, /longest/);
  assert.equal(ended('over', { endReason: 'New', message: 'as told' }).text, 'as told');
  assert.ok(ended('again', null).passing);
  assert.ok(!ended('elsewhere', null).passing);
});
