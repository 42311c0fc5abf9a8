import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addRemark, applySegment, MAX_LINES, newlyFinal } from '../src/transcript.js';

const line = (text, more = {}) => ({ id: 's1', speaker: 'you', text, final: false, stream: 1, ...more });

test('segment is one line that each stream replaces', () => {
  const lines = [line('hel'), line('hello', { stream: 2 }), line('Hello.', { stream: 3, final: true })].reduce(applySegment, []);
  assert.deepEqual(lines, [line('Hello.', { stream: 3, final: true })]);
});

test('late text of an older stream is dropped', () => {
  const lines = applySegment([line('Hello.', { stream: 3, final: true })], line('hel', { stream: 1 }));
  assert.equal(lines[0].text, 'Hello.');
});

test('agent and human may use the same segment id', () => {
  const lines = [line('one'), line('two', { speaker: 'agent', stream: 2 })].reduce(applySegment, []);
  assert.deepEqual(lines.map((each) => each.text), ['one', 'two']);
});

test('blank segment adds no line', () => assert.deepEqual(applySegment([], line('  ')), []));

test('oldest lines are dropped above the limit', () => {
  const many = Array.from({ length: MAX_LINES + 3 }, (_, number) => line('x', { id: `s${number}` }));
  const lines = many.reduce(applySegment, []);
  assert.equal(lines.length, MAX_LINES);
  assert.equal(lines[0].id, 's3');
});

test('newlyFinal returns each final line once', () => {
  const before = [line('a', { final: true }), line('b', { id: 's2' })];
  const after = applySegment(before, line('b.', { id: 's2', final: true, stream: 2 }));
  assert.deepEqual(newlyFinal(before, after).map((each) => each.text), ['b.']);
  assert.deepEqual(newlyFinal(after, after), []);
});

test('remarks have different ids, also after old lines were dropped', () => {
  for (const count of [0, MAX_LINES]) {
    const lines = Array.from({ length: count }, (_, number) => line('x', { id: `s${number}` }));
    const remarked = ['first', 'second', 'third'].reduce(addRemark, lines);
    assert.equal(new Set(remarked.slice(-3).map((each) => each.id)).size, 3);
  }
});
