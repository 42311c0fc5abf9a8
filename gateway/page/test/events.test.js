import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventReader } from '../src/events.js';

const STREAM = 'retry: 1000\n\nevent: session\nid: 7\ndata: {"a":1}\n\n: heartbeat\n\nevent: session\ndata: {"a":2}\n\n';
const EVENTS = [
  { name: 'session', data: '{"a":1}' },
  { name: 'session', data: '{"a":2}' },
];

test('EventReader returns complete events for every chunk size', () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const reader = new EventReader();
    const chunks = STREAM.match(new RegExp(`[^]{1,${size}}`, 'g'));
    assert.deepEqual(chunks.flatMap((chunk) => reader.push(chunk)), EVENTS);
  }
});

test('EventReader joins data lines and removes carriage returns', () => {
  assert.deepEqual(new EventReader().push('data: a\r\ndata:b\r\n\r\n'), [{ name: 'message', data: 'a\nb' }]);
});
