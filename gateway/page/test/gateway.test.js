import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { Gateway } from '../src/gateway.js';
import { explain } from '../src/problems.js';

const MEMORY = { identity: 'guest-1', key: '', roomName: (agent) => `page-1-${agent}` };
const ENDPOINT = { endpoint: (url, options) => ({ fetch: () => fetch(url, options) }) };
const CONFIG = { tokenEndpoint: '/token', agentsEndpoint: '/agents', sessionsEndpoint: '/sessions', readySeconds: 120 };

afterEach(() => mock.restoreAll());

/** A gateway whose requests end as their signal does, which is at once; `waits` are the milliseconds they are given. */
function hanging() {
  const waits = [];
  mock.method(AbortSignal, 'timeout', (milliseconds) => {
    waits.push(milliseconds);
    return AbortSignal.abort(new DOMException('late', 'TimeoutError'));
  });
  mock.method(globalThis, 'fetch', async (_, { signal }) => signal.throwIfAborted());
  return { gateway: Object.assign(new Gateway(MEMORY, ENDPOINT), { config: CONFIG }), waits };
}

test('a token that does not come is waited for a little longer than the gateway waits, then told and tried again', async () => {
  const { gateway, waits } = hanging();
  const problem = await gateway.token('agent-66').catch(explain);
  assert.deepEqual(waits, [135_000]);
  assert.equal(problem.title, 'The server does not answer');
  assert.ok(problem.passing);
});

test('a refusal keeps its Retry-After', async () => {
  const gateway = Object.assign(new Gateway(MEMORY, ENDPOINT), { config: CONFIG });
  mock.method(globalThis, 'fetch', async () => new Response('{}', { status: 429, headers: { 'Retry-After': '7' } }));
  assert.equal((await gateway.agents().catch(explain)).after, 7);
});
