import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initial, isBusy, isInCall, reduce } from '../src/state.js';

const AGENTS = [{ name: 'agent-66', displayName: 'Agent_66', ready: true }];
const after = (...events) => events.reduce(reduce, initial);
const chosen = { type: 'agents', agents: AGENTS, agent: 'agent-66' };
const problem = { title: 'The connection was lost', text: '', passing: true };

test('a call from click to end', () => {
  const stages = [];
  [chosen, { type: 'started' }, { type: 'token' }, { type: 'live' }, { type: 'stopped' }].reduce((state, event) => {
    const next = reduce(state, event);
    stages.push(next.stage);
    return next;
  }, initial);
  assert.deepEqual(stages, ['idle', 'starting', 'connecting', 'live', 'idle']);
});

test('livekit-client reconnects by itself: still in the call', () => {
  const state = after(chosen, { type: 'started' }, { type: 'live' }, { type: 'reconnecting' });
  assert.ok(isInCall(state) && isBusy(state));
});

test('between two attempts the problem stays to be read, and what was said too', () => {
  const said = { type: 'said', id: '1', who: 'agent', text: 'Hello', final: true, stream: 1 };
  const state = after(chosen, { type: 'started' }, { type: 'live' }, said, { type: 'waiting', problem, seconds: 4 });
  assert.equal(state.problem, problem);
  assert.equal(state.lines.length, 1);
  assert.ok(isBusy(state) && !isInCall(state));
  const trying = reduce(state, { type: 'trying' });
  assert.equal(trying.problem, problem);
  assert.equal(reduce(trying, { type: 'live' }).problem, null);
});

test('connecting again begins with an empty transcript', () => {
  const said = { type: 'said', id: '1', who: 'you', text: 'Hello', final: true, stream: 1 };
  assert.deepEqual(after(chosen, said, { type: 'started' }).lines, []);
});

test('a reset in the middle of a call is written into the transcript', () => {
  const session = (resets, name = 'call-1') => ({ type: 'session', session: { name, resets, phase: 'Active' } });
  assert.equal(after(session(0), session(1)).lines.length, 1);
  assert.equal(after(session(1), session(1)).lines.length, 0);
  assert.equal(after(session(0, 'call-1'), session(3, 'call-2')).lines.length, 0);
});

test('who mutes herself is not told that her microphone is silent', () => {
  assert.ok(after({ type: 'silent' }).isSilent);
  assert.ok(!after({ type: 'muted', isMuted: true }, { type: 'silent' }).isSilent);
  assert.ok(!after({ type: 'silent' }, { type: 'heard' }).isSilent);
});

test('a microphone that is lost, or muted by somebody else, is told until the person does something about it', () => {
  const lost = after({ type: 'silenced' });
  assert.deepEqual([lost.isMuted, /lost, or muted/.test(lost.trouble)], [true, true]);
  assert.equal(reduce(lost, { type: 'muted', isMuted: false }).trouble, '');
  assert.equal(after({ type: 'muted', isMuted: true }, { type: 'silenced' }).trouble, '');
});

test('the microphone that is shown is the one that is used', () => {
  const chosen = { type: 'microphone', microphone: 'usb' };
  const gone = after(chosen, { type: 'moved', microphone: 'built-in' });
  const unplugged = after(chosen, { type: 'microphones', microphones: [{ id: 'built-in' }] });
  for (const state of [gone, unplugged]) assert.deepEqual([state.microphone, /is gone/.test(state.trouble)], ['', true]);
  assert.equal(after(chosen, { type: 'microphones', microphones: [{ id: 'usb' }] }).microphone, 'usb');
  for (const used of [[chosen, { type: 'moved', microphone: 'usb' }], [{ type: 'moved', microphone: 'built-in' }]]) {
    assert.equal(after(...used).trouble, '');
  }
});

test('a microphone that cannot be used is told, and the one before is shown', () => {
  const told = { title: 'That microphone is gone', text: 'Choose another one, then try again.' };
  const state = after({ type: 'microphone', microphone: 'usb' }, { type: 'unusable', microphone: '', problem: told });
  assert.deepEqual([state.microphone, state.isMuted], ['', false]);
  assert.equal(state.trouble, 'That microphone is gone. Choose another one, then try again.');
  assert.ok(after({ type: 'unusable', isMuted: true, problem: told }).isMuted);
});

test('a gateway that is back is not said to be away', () => {
  const session = { name: 'call-1', resets: 0 };
  assert.doesNotMatch(after({ type: 'started' }, { type: 'unwatched' }).notice, /goes on/);
  assert.match(after({ type: 'started' }, { type: 'live' }, { type: 'unwatched' }).notice, /The call itself goes on/);
  for (const back of [{ type: 'session', session }, { type: 'token' }]) {
    assert.equal(after({ type: 'unwatched' }, back).notice, '');
  }
});

test('an event that nobody knows is a mistake of ours', () => {
  assert.throws(() => reduce(initial, { type: 'nonsense' }), TypeError);
});
