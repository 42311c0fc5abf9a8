import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initial } from '../src/state.js';
import { hint, quality, status } from '../src/words.js';

const agents = [{ name: 'agent-66', displayName: 'Agent_66' }];
const state = (more) => ({ ...initial, agents, agent: 'agent-66', ...more });

test('the status tells what the agent does', () => {
  assert.equal(status(state({ stage: 'live', agentState: 'thinking' })), 'Thinking');
  assert.equal(status(state({ stage: 'live', agentState: '' })), 'Connected. Agent_66 is on the way …');
  assert.equal(status(state({ stage: 'waiting', waitSeconds: 4 })), 'Trying again in 4 s');
});

test('who waits long is told what is missing', () => {
  const session = { phase: 'Pending', message: 'LiveKit does not answer.' };
  const waiting = state({ stage: 'starting', session });
  assert.deepEqual([status(waiting), hint(waiting)], ['Waiting for Agent_66 …', 'LiveKit does not answer.']);
});

test('hints tell of a muted or a silent microphone', () => {
  assert.match(hint(state({ isSilent: true })), /no sound/);
  assert.equal(hint(state({ isMuted: true, stage: 'live' })), 'You are muted.');
  assert.equal(hint(state({ isMuted: true, stage: 'live', trouble: 'It is gone.' })), 'It is gone.');
  assert.equal(hint(state({})), '');
});

test('an unknown quality is not called good', () => assert.equal(quality(state({ quality: 'unknown' })), '–'));
