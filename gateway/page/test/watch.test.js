import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../src/problems.js';
import { watchSession } from '../src/watch.js';

const ACTIVE = { phase: 'Active' };
const FINISHED = { phase: 'Finished' };

/** Watch a gateway with these successive streams, each a list of sessions with an optional error at its end. */
async function watchStreams(...streams) {
  const result = { changes: [], outages: 0, waits: [] };
  const gateway = {
    async *streamSession() {
      for (const each of streams.shift()) {
        if (each instanceof Error) throw each;
        yield each;
      }
    },
  };
  await watchSession(gateway, 'call-1', {
    onChange: (session) => result.changes.push(session),
    onUnavailable: () => (result.outages += 1),
    wait: async (seconds) => void result.waits.push(seconds),
    signal: new AbortController().signal,
  });
  return result;
}

test('stream is reopened until the session is finished', async () => {
  const result = await watchStreams([ACTIVE], [ACTIVE, FINISHED]);
  assert.deepEqual(result.changes, [ACTIVE, ACTIVE, FINISHED]);
  assert.deepEqual(result.waits, [1]);
});

test('first broken stream is not reported, further failures are', async () => {
  const failure = new TypeError('Failed to fetch');
  assert.equal((await watchStreams([ACTIVE, failure], [FINISHED])).outages, 0);
  const result = await watchStreams([ACTIVE, failure], [failure], [failure], [FINISHED]);
  assert.equal(result.outages, 2);
  assert.deepEqual(result.waits, [1, 2, 4]);
});

test('Retry-After of the gateway extends the pause', async () => {
  assert.deepEqual((await watchStreams([new GatewayError(429, '', 30)], [FINISHED])).waits, [30]);
});

test('missing session ends the watch', async () => {
  assert.deepEqual(await watchStreams([new GatewayError(404, '')]), { changes: [], outages: 0, waits: [] });
});
