// Follows one session's state as long as it is asked to, over gateways that come and go.
import { GatewayError } from './problems.js';
import { pause } from './retry.js';

const FINISHED = 'Finished';
const GONE = 404;

/** `wait(seconds, signal)` as in clock.js. `lost` is called when the gateway does not answer. */
export async function watch(gateway, name, { changed, lost, wait, signal }) {
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      for await (const session of gateway.follow(name, signal)) {
        failures = 0;
        changed(session);
        if (session.phase === FINISHED) return;
      }
    } catch (error) {
      if (signal.aborted || (error instanceof GatewayError && error.status === GONE)) return;
      if (failures > 0) lost();
    }
    await wait(pause(failures + 1), signal);
  }
}
