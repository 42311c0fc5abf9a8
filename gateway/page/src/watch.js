// Follows the state of one session until it ends, across outages of the gateway.
import { GatewayError } from './problems.js';
import { retryDelay } from './retry.js';

const FINISHED = 'Finished';
const NOT_FOUND = 404;

/**
 * Call `onChange` with every state of the session, and `onUnavailable` when the gateway does not answer.
 * `wait(seconds, signal)` is the function of clock.js.
 */
export async function watchSession(gateway, name, { onChange, onUnavailable, wait, signal }) {
  for (let failures = 0; !signal.aborted; failures += 1) {
    let retryAfter = 0;
    try {
      for await (const session of gateway.streamSession(name, signal)) {
        failures = 0;
        onChange(session);
        if (session.phase === FINISHED) return;
      }
    } catch (error) {
      if (signal.aborted || (error instanceof GatewayError && error.status === NOT_FOUND)) return;
      if (failures > 0) onUnavailable();
      retryAfter = error.retryAfter;
    }
    await wait(retryDelay(failures + 1, retryAfter), signal);
  }
}
