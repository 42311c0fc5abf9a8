import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrival, choose, FRESH, Memory, ordered } from '../src/memory.js';

class Storage extends Map {
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

test('a reload finds the same person and the same conversation', () => {
  const storage = new Storage();
  const before = new Memory(storage, () => 'a1', () => 5);
  before.keepCall('agent-66', true);
  const after = new Memory(storage, () => 'b2', () => 9);
  assert.equal(after.identity, before.identity);
  assert.equal(after.roomName('agent-66'), before.roomName('agent-66'));
  assert.deepEqual(after.call, { agent: 'agent-66', muted: true, at: 5 });
});

test('another tab is another person, another agent another conversation', () => {
  const [one, two] = ['a1', 'b2'].map((id) => new Memory(new Storage(), () => id, () => 0));
  assert.notEqual(one.identity, two.identity);
  assert.notEqual(one.roomName('a'), one.roomName('b'));
});

test('a call that was ended is forgotten, and a record that cannot be read is none', () => {
  const storage = new Storage();
  const memory = new Memory(storage, () => 'a1', () => 0);
  memory.keepCall('agent-66', false);
  memory.forgetCall();
  assert.equal(memory.call, null);
  storage.setItem('voicesession.call', '{');
  assert.equal(memory.call, null);
});

test('an emptied key is none', () => {
  const memory = new Memory(new Storage(), () => 'a1', () => 0);
  memory.key = 'k';
  assert.equal(memory.key, 'k');
  memory.key = '';
  assert.equal(memory.key, '');
});

test('only a reload continues by itself; a tab that comes back soon is asked', () => {
  const call = { agent: 'agent-66', at: 1000 };
  assert.equal(arrival(call, 'reload', 1000 + 9 * FRESH), 'continue');
  assert.equal(arrival(call, 'navigate', 1000 + FRESH - 1), 'offer');
  assert.equal(arrival(call, 'navigate', 1000 + FRESH), 'none');
  assert.equal(arrival(null, 'reload', 1000), 'none');
});

test('?agent= is chosen before the default one, which is before any other', () => {
  assert.equal(choose(AGENTS, 'helper', 'agent-66'), 'helper');
  assert.equal(choose(AGENTS, 'nobody', 'agent-66'), 'agent-66');
  assert.equal(choose(AGENTS, null, 'gone'), 'zed');
  assert.equal(choose([], null, 'agent-66'), '');
  assert.deepEqual(ordered(AGENTS, 'agent-66').map((each) => each.name), ['agent-66', 'helper', 'zed']);
});
