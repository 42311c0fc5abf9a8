import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventReader } from '../src/events.js';

const WHOLE = 'retry: 1000\n\nevent: session\nid: 7\ndata: {"a":1}\n\n: still there\n\nevent: session\ndata: {"a":2}\n\n';
const EVENTS = [
  { name: 'session', data: '{"a":1}' },
  { name: 'session', data: '{"a":2}' },
];

test('events come out whole, wherever the stream is cut', () => {
  for (let size = 1; size <= WHOLE.length; size += 1) {
    const reader = new EventReader();
    const pieces = WHOLE.match(new RegExp(`[^]{1,${size}}`, 'g'));
    assert.deepEqual(pieces.flatMap((piece) => reader.take(piece)), EVENTS);
  }
});

test('lines of data are joined, and carriage returns are no part of them', () => {
  assert.deepEqual(new EventReader().take('data: a\r\ndata:b\r\n\r\n'), [{ name: 'message', data: 'a\nb' }]);
});
