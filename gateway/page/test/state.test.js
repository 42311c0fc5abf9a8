import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initial, isBusy, isInCall, reduce } from '../src/state.js';

const AGENTS = [{ name: 'agent-66', displayName: 'Agent_66', ready: true }];
const after = (...events) => events.reduce(reduce, initial);
const loaded = { type: 'agents', agents: AGENTS, agent: 'agent-66' };
const segment = { type: 'transcribed', id: '1', speaker: 'agent', text: 'Hello', final: true, stream: 1 };
const problem = { title: 'The connection was lost', text: '', isTransient: true };

test('call passes through all stages from click to end', () => {
  const stages = [];
  [loaded, { type: 'started' }, { type: 'token' }, { type: 'live' }, { type: 'stopped' }].reduce((state, event) => {
    const next = reduce(state, event);
    stages.push(next.stage);
    return next;
  }, initial);
  assert.deepEqual(stages, ['idle', 'starting', 'connecting', 'live', 'idle']);
});

test('reconnect of livekit-client is part of the call', () => {
  const state = after(loaded, { type: 'started' }, { type: 'live' }, { type: 'reconnecting' });
  assert.ok(isInCall(state) && isBusy(state));
});

test('problem and transcript stay between two attempts', () => {
  const state = after(loaded, { type: 'started' }, { type: 'live' }, segment, { type: 'waiting', problem, seconds: 4 });
  assert.equal(state.problem, problem);
  assert.equal(state.lines.length, 1);
  assert.ok(isBusy(state) && !isInCall(state));
  const retrying = reduce(state, { type: 'retrying' });
  assert.equal(retrying.problem, problem);
  assert.equal(reduce(retrying, { type: 'live' }).problem, null);
});

test('new call starts with an empty transcript', () => {
  assert.deepEqual(after(loaded, segment, { type: 'started' }).lines, []);
});

test('reset during a call adds a remark to the transcript', () => {
  const session = (resets, name = 'call-1') => ({ type: 'session', session: { name, resets, phase: 'Active' } });
  assert.equal(after(session(0), session(1)).lines.length, 1);
  assert.equal(after(session(1), session(1)).lines.length, 0);
  assert.equal(after(session(0, 'call-1'), session(3, 'call-2')).lines.length, 0);
});

test('muted microphone is not reported as silent', () => {
  assert.ok(after({ type: 'silenceDetected' }).isSilent);
  assert.ok(!after({ type: 'muted', isMuted: true }, { type: 'silenceDetected' }).isSilent);
  assert.ok(!after({ type: 'silenceDetected' }, { type: 'soundDetected' }).isSilent);
});

test('lost or remotely muted microphone is reported until the next press of Mute', () => {
  const lost = after({ type: 'mutedRemotely' });
  assert.deepEqual([lost.isMuted, /lost, or muted/.test(lost.microphoneNotice)], [true, true]);
  assert.equal(reduce(lost, { type: 'muted', isMuted: false }).microphoneNotice, '');
  assert.equal(after({ type: 'muted', isMuted: true }, { type: 'mutedRemotely' }).microphoneNotice, '');
});

test('shown microphone is the microphone in use', () => {
  const selected = { type: 'microphone', microphone: 'usb' };
  const changed = after(selected, { type: 'microphoneChanged', microphone: 'built-in' });
  const unplugged = after(selected, { type: 'microphones', microphones: [{ id: 'built-in' }] });
  for (const state of [changed, unplugged]) {
    assert.deepEqual([state.microphone, /was removed/.test(state.microphoneNotice)], ['', true]);
  }
  assert.equal(after(selected, { type: 'microphones', microphones: [{ id: 'usb' }] }).microphone, 'usb');
  const unchanged = [
    [selected, { type: 'microphoneChanged', microphone: 'usb' }],
    [{ type: 'microphoneChanged', microphone: 'built-in' }],
  ];
  for (const events of unchanged) assert.equal(after(...events).microphoneNotice, '');
});

test('failed microphone is reported and the previous one is shown', () => {
  const failure = { title: 'The microphone is no longer connected', text: 'Select another microphone, then try again.' };
  const selected = { type: 'microphone', microphone: 'usb' };
  const state = after(selected, { type: 'microphoneFailed', microphone: '', problem: failure });
  assert.deepEqual([state.microphone, state.isMuted], ['', false]);
  assert.equal(state.microphoneNotice, 'The microphone is no longer connected. Select another microphone, then try again.');
  assert.ok(after({ type: 'microphoneFailed', isMuted: true, problem: failure }).isMuted);
});

test('notice about the gateway disappears when the gateway answers', () => {
  const session = { name: 'call-1', resets: 0 };
  assert.doesNotMatch(after({ type: 'started' }, { type: 'gatewayUnavailable' }).gatewayNotice, /continues/);
  assert.match(after({ type: 'started' }, { type: 'live' }, { type: 'gatewayUnavailable' }).gatewayNotice, /The call continues/);
  for (const answer of [{ type: 'session', session }, { type: 'token' }]) {
    assert.equal(after({ type: 'gatewayUnavailable' }, answer).gatewayNotice, '');
  }
});

test('unknown event throws', () => {
  assert.throws(() => reduce(initial, { type: 'nonsense' }), TypeError);
});
