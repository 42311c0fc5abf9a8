import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../src/problems.js';
import { watch } from '../src/watch.js';

const ACTIVE = { phase: 'Active' };
const FINISHED = { phase: 'Finished' };

/** Watches a gateway whose streams are these, one after the other: sessions, then an error if there is one. */
async function watched(...streams) {
  const told = { changed: [], lost: 0, waits: [] };
  const gateway = {
    async *follow() {
      for (const each of streams.shift()) {
        if (each instanceof Error) throw each;
        yield each;
      }
    },
  };
  const changed = (session) => told.changed.push(session);
  const wait = async (seconds) => void told.waits.push(seconds);
  await watch(gateway, 'call-1', { changed, lost: () => (told.lost += 1), wait, signal: new AbortController().signal });
  return told;
}

test('a stream that ends is followed by another until the session is over', async () => {
  const told = await watched([ACTIVE], [ACTIVE, FINISHED]);
  assert.deepEqual(told.changed, [ACTIVE, ACTIVE, FINISHED]);
  assert.deepEqual(told.waits, [1]);
});

test('one that breaks is no news, a gateway that stays away is', async () => {
  const away = new TypeError('Failed to fetch');
  assert.equal((await watched([ACTIVE, away], [FINISHED])).lost, 0);
  const told = await watched([ACTIVE, away], [away], [away], [FINISHED]);
  assert.equal(told.lost, 2);
  assert.deepEqual(told.waits, [1, 2, 4]);
});

test('a gateway that says when is not asked before', async () => {
  assert.deepEqual((await watched([new GatewayError(429, '', 30)], [FINISHED])).waits, [30]);
});

test('a session that is gone is not asked for again', async () => {
  assert.deepEqual(await watched([new GatewayError(404, '')]), { changed: [], lost: 0, waits: [] });
});
