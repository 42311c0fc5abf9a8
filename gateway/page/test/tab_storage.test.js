import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actionOnLoad, chooseAgent, OFFER_MILLISECONDS, sortAgents, TabStorage } from '../src/tab_storage.js';

class FakeStorage extends Map {
  getItem(name) {
    return this.get(name) ?? null;
  }

  setItem(name, value) {
    this.set(name, value);
  }

  removeItem(name) {
    this.delete(name);
  }
}

const AGENTS = [
  { name: 'zed', displayName: '' },
  { name: 'agent-66', displayName: 'Agent_66' },
  { name: 'helper', displayName: 'A helper' },
];

test('reload keeps identity, conversation and call', () => {
  const storage = new FakeStorage();
  const before = new TabStorage(storage, () => 'a1', () => 5);
  before.saveCall('agent-66', true);
  const after = new TabStorage(storage, () => 'b2', () => 9);
  assert.equal(after.identity, before.identity);
  assert.equal(after.roomName('agent-66'), before.roomName('agent-66'));
  assert.deepEqual(after.call, { agent: 'agent-66', muted: true, at: 5 });
});

test('another tab has another identity, another agent has another conversation', () => {
  const [first, second] = ['a1', 'b2'].map((id) => new TabStorage(new FakeStorage(), () => id, () => 0));
  assert.notEqual(first.identity, second.identity);
  assert.notEqual(first.roomName('a'), first.roomName('b'));
});

test('deleted or unreadable call is null', () => {
  const storage = new FakeStorage();
  const tab = new TabStorage(storage, () => 'a1', () => 0);
  tab.saveCall('agent-66', false);
  tab.deleteCall();
  assert.equal(tab.call, null);
  storage.setItem('voicesession.call', '{');
  assert.equal(tab.call, null);
});

test('empty key removes the saved key', () => {
  const tab = new TabStorage(new FakeStorage(), () => 'a1', () => 0);
  tab.key = 'k';
  assert.equal(tab.key, 'k');
  tab.key = '';
  assert.equal(tab.key, '');
});

test('reload continues the call, other navigation only offers a recent call', () => {
  const call = { agent: 'agent-66', at: 1000 };
  assert.equal(actionOnLoad(call, 'reload', 1000 + 9 * OFFER_MILLISECONDS), 'continue');
  assert.equal(actionOnLoad(call, 'navigate', 1000 + OFFER_MILLISECONDS - 1), 'offer');
  assert.equal(actionOnLoad(call, 'navigate', 1000 + OFFER_MILLISECONDS), 'none');
  assert.equal(actionOnLoad(null, 'reload', 1000), 'none');
});

test('chooseAgent prefers ?agent=, then the default agent, then the first one', () => {
  assert.equal(chooseAgent(AGENTS, 'helper', 'agent-66'), 'helper');
  assert.equal(chooseAgent(AGENTS, 'nobody', 'agent-66'), 'agent-66');
  assert.equal(chooseAgent(AGENTS, null, 'gone'), 'zed');
  assert.equal(chooseAgent([], null, 'agent-66'), '');
});

test('sortAgents puts the default agent first and sorts the others by displayed name', () => {
  assert.deepEqual(sortAgents(AGENTS, 'agent-66').map((each) => each.name), ['agent-66', 'helper', 'zed']);
});
