import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { Gateway } from '../src/gateway.js';
import { explain } from '../src/problems.js';

const STORAGE = { identity: 'guest-1', key: '', roomName: (agent) => `page-1-${agent}` };
const TOKEN_SOURCE = { endpoint: (url, options) => ({ fetch: () => fetch(url, options) }) };
const CONFIG = { tokenEndpoint: '/token', agentsEndpoint: '/agents', sessionsEndpoint: '/sessions', readySeconds: 120 };

afterEach(() => mock.restoreAll());

/** Return a gateway whose requests time out at once, and the list of the requested timeouts in milliseconds. */
function hangingGateway() {
  const timeouts = [];
  mock.method(AbortSignal, 'timeout', (milliseconds) => {
    timeouts.push(milliseconds);
    return AbortSignal.abort(new DOMException('late', 'TimeoutError'));
  });
  mock.method(globalThis, 'fetch', async (_, { signal }) => signal.throwIfAborted());
  return { gateway: Object.assign(new Gateway(STORAGE, TOKEN_SOURCE), { config: CONFIG }), timeouts };
}

test('token timeout exceeds the wait of the gateway and is a transient problem', async () => {
  const { gateway, timeouts } = hangingGateway();
  const problem = await gateway.token('agent-66').catch(explain);
  assert.deepEqual(timeouts, [135_000]);
  assert.equal(problem.title, 'The server does not answer');
  assert.ok(problem.isTransient);
});

test('error response keeps its Retry-After', async () => {
  const gateway = Object.assign(new Gateway(STORAGE, TOKEN_SOURCE), { config: CONFIG });
  mock.method(globalThis, 'fetch', async () => new Response('{}', { status: 429, headers: { 'Retry-After': '7' } }));
  assert.equal((await gateway.agents().catch(explain)).retryAfter, 7);
});
