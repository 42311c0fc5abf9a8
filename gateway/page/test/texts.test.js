import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initial } from '../src/state.js';
import { hintText, qualityText, statusText } from '../src/texts.js';

const agents = [{ name: 'agent-66', displayName: 'Agent_66' }];
const state = (more) => ({ ...initial, agents, agent: 'agent-66', ...more });

test('status describes the activity of the agent', () => {
  assert.equal(statusText(state({ stage: 'live', agentState: 'thinking' })), 'Thinking');
  assert.equal(statusText(state({ stage: 'live', agentState: '' })), 'Connected. Waiting for Agent_66 …');
  assert.equal(statusText(state({ stage: 'waiting', waitSeconds: 4 })), 'Trying again in 4 s');
});

test('hint names the condition that delays a start', () => {
  const session = { phase: 'Pending', message: 'LiveKit does not answer.' };
  const waiting = state({ stage: 'starting', session });
  assert.deepEqual([statusText(waiting), hintText(waiting)], ['Waiting for Agent_66 …', 'LiveKit does not answer.']);
});

test('hint reports a muted or silent microphone', () => {
  assert.match(hintText(state({ isSilent: true })), /No sound/);
  assert.equal(hintText(state({ isMuted: true, stage: 'live' })), 'You are muted.');
  assert.equal(hintText(state({ isMuted: true, stage: 'live', microphoneNotice: 'It was removed.' })), 'It was removed.');
  assert.equal(hintText(state({})), '');
});

test('unknown quality is shown as a dash', () => assert.equal(qualityText(state({ quality: 'unknown' })), '–'));
