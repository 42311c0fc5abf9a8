import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LONGEST, newlyFinal, remarked, told } from '../src/transcript.js';

const line = (text, more = {}) => ({ id: 's1', who: 'you', text, final: false, stream: 1, ...more });

test('a segment is one line, rewritten by each stream', () => {
  const lines = [line('hel'), line('hello', { stream: 2 }), line('Hello.', { stream: 3, final: true })].reduce(told, []);
  assert.deepEqual(lines, [line('Hello.', { stream: 3, final: true })]);
});

test('an older stream that is slower changes nothing', () => {
  const lines = told([line('Hello.', { stream: 3, final: true })], line('hel', { stream: 1 }));
  assert.equal(lines[0].text, 'Hello.');
});

test('agent and person may use the same segment id', () => {
  const lines = [line('one'), line('two', { who: 'agent', stream: 2 })].reduce(told, []);
  assert.deepEqual(lines.map((each) => each.text), ['one', 'two']);
});

test('a segment without words is no line', () => assert.deepEqual(told([], line('  ')), []));

test('only so many lines are kept', () => {
  const many = Array.from({ length: LONGEST + 3 }, (_, number) => line('x', { id: `s${number}` }));
  const lines = many.reduce(told, []);
  assert.equal(lines.length, LONGEST);
  assert.equal(lines[0].id, 's3');
});

test('what has become final is told once', () => {
  const before = [line('a', { final: true }), line('b', { id: 's2' })];
  const after = told(before, line('b.', { id: 's2', final: true, stream: 2 }));
  assert.deepEqual(newlyFinal(before, after).map((each) => each.text), ['b.']);
  assert.deepEqual(newlyFinal(after, after), []);
});

test('two remarks are two lines, also where the oldest lines are not kept any more', () => {
  for (const before of [0, LONGEST]) {
    const said = Array.from({ length: before }, (_, number) => line('x', { id: `s${number}` }));
    const lines = ['once', 'twice', 'thrice'].reduce(remarked, said);
    assert.equal(new Set(lines.slice(-3).map((each) => each.id)).size, 3);
  }
});
