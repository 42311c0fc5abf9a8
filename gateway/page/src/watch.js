// Follows one session's state as long as it is asked to, over gateways that come and go.
import { GatewayError } from './problems.js';
import { rest } from './retry.js';

const FINISHED = 'Finished';
const GONE = 404;

/** `wait(seconds, signal)` as in clock.js. `lost` is called when the gateway does not answer. */
export async function watch(gateway, name, { changed, lost, wait, signal }) {
  for (let failures = 0; !signal.aborted; failures += 1) {
    let after = 0;
    try {
      for await (const session of gateway.follow(name, signal)) {
        failures = 0;
        changed(session);
        if (session.phase === FINISHED) return;
      }
    } catch (error) {
      if (signal.aborted || (error instanceof GatewayError && error.status === GONE)) return;
      if (failures > 0) lost();
      after = error.after;
    }
    await wait(rest(failures + 1, after), signal);
  }
}
