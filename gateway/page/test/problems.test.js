import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endProblem, explain, GatewayError } from '../src/problems.js';

const namedError = (name, message = '') => Object.assign(new Error(message), { name });
/** An error of livekit-client for a response of the gateway. */
const tokenError = (status, code, message) =>
  new Error(`Error generating token from endpoint /token: received ${status} / ${JSON.stringify({ error: { code, message } })}`);

test('denied microphone names its fix and is not retried', () => {
  const problem = explain(namedError('NotAllowedError', 'Permission denied'));
  assert.equal(problem.about, 'microphone');
  assert.ok(!problem.isTransient);
  assert.match(problem.text, /Allow it/);
});

test('unreachable gateway is transient', () => {
  const problems = [new TypeError('Failed to fetch'), namedError('TimeoutError'), tokenError(502, '', '')].map(explain);
  assert.deepEqual(problems.map((each) => each.isTransient), [true, true, true]);
});

test('unreachable media server is transient', () => {
  const problem = explain(namedError('ConnectionError', 'could not establish signal connection'));
  assert.ok(problem.isTransient);
  assert.match(problem.text, /LiveKit/);
});

test('reason of the gateway is shown as a sentence', () => {
  const problem = explain(tokenError(504, 'Retryable', 'the room: LiveKit does not answer'));
  assert.ok(problem.isTransient);
  assert.equal(problem.text, 'The room: LiveKit does not answer.');
});

test('attempts that may have created a session are costly, an outage of Kubernetes is not', () => {
  const errors = [tokenError(504, 'StartDeadline', ''), tokenError(503, 'AgentLost', ''), tokenError(503, 'Unavailable', '')];
  const problems = errors.map(explain);
  assert.deepEqual(problems.map((each) => [each.isTransient, each.isCostly]), [[true, true], [true, true], [true, false]]);
});

test('invalid or intentionally ended session is not retried', () => {
  const errors = [tokenError(503, 'Invalid', 'no such agent'), tokenError(503, 'Requested', 'it was asked to end')];
  assert.ok(errors.map(explain).every((each) => !each.isTransient));
});

test('limit has the Retry-After of the response or the default of its code', () => {
  assert.equal(explain(new GatewayError(429, '', 7)).retryAfter, 7);
  assert.equal(explain(tokenError(429, 'TooManySessions', '')).retryAfter, 10);
});

test('limit, unknown agent and missing key are not transient', () => {
  const problems = [tokenError(429, 'TooManySessions', 'this caller has 5'), tokenError(404, 'UnknownAgent', 'there is none')].map(explain);
  assert.ok(problems.every((each) => !each.isTransient));
  assert.deepEqual(problems.map((each) => each.text), ['This caller has 5.', 'There is none.']);
  assert.equal(explain(new GatewayError(401, '')).about, 'key');
});

test('response without JSON is shown by its status', () => {
  assert.equal(explain(new GatewayError(400, '<html>')).text, 'The server answered 400.');
});

test('end of a session names its reason', () => {
  assert.match(endProblem('over', { endReason: 'MaxDuration' }).text, /maximum duration/);
  assert.equal(endProblem('over', { endReason: 'New', message: 'from the session' }).text, 'from the session');
  assert.ok(endProblem('again', null).isTransient);
  assert.ok(!endProblem('elsewhere', null).isTransient);
});
