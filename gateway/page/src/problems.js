// Problems, in words for the human on the page. Pure.
//
// A problem is {title, text, isTransient, about, isLimit, isCostly, retryAfter}:
// - isTransient: the page tries again automatically.
// - isLimit: the page tries again automatically only if the human was already in the call.
// - isCostly: the attempt may have created a session, so the number of such attempts is limited.
// - retryAfter: seconds that the gateway asks the page to wait.
// - about: `microphone`, `key` or empty; selects the controls shown with the problem.

const NONE = { isTransient: false, about: '', isLimit: false, isCostly: false, retryAfter: 0 };
const problem = (title, text, more = {}) => ({ ...NONE, title, text, ...more });
const ABOUT_MICROPHONE = { about: 'microphone' };

const MICROPHONE_BLOCKED = problem(
  'The microphone is blocked',
  'Allow it in the site settings: select the icon to the left of the address. Then try again.',
  ABOUT_MICROPHONE,
);
const MICROPHONE_PROBLEMS = {
  NotAllowedError: MICROPHONE_BLOCKED,
  PermissionDeniedError: MICROPHONE_BLOCKED,
  SecurityError: MICROPHONE_BLOCKED,
  NotFoundError: problem(
    'No microphone was found',
    'Connect or select a microphone, then try again.',
    ABOUT_MICROPHONE,
  ),
  OverconstrainedError: problem(
    'The microphone is no longer connected',
    'Select another microphone, then try again.',
    ABOUT_MICROPHONE,
  ),
  NotReadableError: problem(
    'The microphone does not answer',
    'Another program may be using it. Close that program or select another microphone, then try again.',
    ABOUT_MICROPHONE,
  ),
  DeviceUnsupportedError: problem(
    'This page cannot use a microphone',
    'Browsers allow microphones only on HTTPS pages and on localhost.',
    ABOUT_MICROPHONE,
  ),
};

const GATEWAY_DOWN = problem('The server does not answer', 'The gateway cannot be reached. The page keeps trying.', {
  isTransient: true,
});
const LIVEKIT_DOWN = problem(
  'The call cannot be connected',
  'The media server (LiveKit) does not answer. The page keeps trying.',
  { isTransient: true },
);
/** End reasons of a starting session that the next session would repeat. */
const FINAL_REASONS = new Set(['Invalid', 'Requested', 'AgentEnded']);
/** End reasons of a starting session that the next session may avoid. */
const LOSS_REASONS = new Set(['AgentLost', 'RoomLost']);
const GATEWAY_TIMEOUT = 504;
/** The gateway's own Retry-After by error code, in seconds, for errors whose headers the page cannot read. */
const DEFAULT_RETRY_AFTER = { TooManySessions: 10, RateLimited: 1 };

/** An error response of the gateway. `retryAfter` is in seconds, 0 without the header. */
export class GatewayError extends Error {
  constructor(status, body, retryAfter = 0) {
    super(`the gateway answered ${status}`);
    Object.assign(this, { status, body, retryAfter });
  }
}

/** Return the problem for an error that was thrown while a call was prepared. */
export function explain(error) {
  const response = responseOf(error);
  if (response) return refused(response);
  if (Object.hasOwn(MICROPHONE_PROBLEMS, error.name)) return MICROPHONE_PROBLEMS[error.name];
  if (error.name === 'ConnectionError') return LIVEKIT_DOWN;
  if (error instanceof TypeError || error.name === 'TimeoutError') return GATEWAY_DOWN;
  return problem('Something went wrong', error.message || String(error));
}

/** Return the problem for a call that this page did not end. `next` is a result of afterDisconnect in retry.js. */
export function endProblem(next, session) {
  if (next === 'elsewhere') {
    return problem('The call continues elsewhere', 'This conversation was opened in another tab.');
  }
  if (next === 'again') return problem('The connection was lost', 'Reconnecting.', { isTransient: true });
  return problem('The conversation has ended', END_TEXTS[session?.endReason] ?? session?.message ?? '');
}

const END_TEXTS = {
  MaxDuration: 'It reached the maximum duration.',
  Idle: 'Nobody spoke for a while.',
  Requested: 'It was ended from outside this page.',
  AgentEnded: 'The agent ended it.',
  NobodyCame: 'Nobody joined in time.',
  AgentLost: 'The agent failed and could not be replaced.',
};

/** Return the gateway's {status, code, message, retryAfter} from a GatewayError or from livekit-client's error text. */
function responseOf(error) {
  if (error instanceof GatewayError) {
    return { status: error.status, retryAfter: error.retryAfter, ...parseBody(error.body) };
  }
  const match = /received (\d{3}) \/ (.*)$/s.exec(error.message ?? '');
  return match && { status: Number(match[1]), retryAfter: 0, ...parseBody(match[2]) };
}

function parseBody(text) {
  try {
    const { code = '', message = '' } = JSON.parse(text).error;
    return { code, message };
  } catch {
    return { code: '', message: '' };
  }
}

function refused({ status, code, message, retryAfter }) {
  if (status === 401) {
    const text = 'Enter your access key or token for this gateway. It is stored in this tab only.';
    return problem('A key is needed', text, { about: 'key' });
  }
  if (status === 429) return tooMany(sentence(message), retryAfter || (DEFAULT_RETRY_AFTER[code] ?? 0));
  if (status < 500) {
    return problem('The server refused the request', sentence(message) || code || `The server answered ${status}.`);
  }
  if (!code) return GATEWAY_DOWN;
  return agentDidNotJoin(status, code, sentence(message));
}

function tooMany(text, retryAfter) {
  return problem('Too many at once', text || 'Try again in a moment.', { isLimit: true, retryAfter });
}

function agentDidNotJoin(status, code, message) {
  const isTransient = !FINAL_REASONS.has(code);
  const isCostly = status === GATEWAY_TIMEOUT || LOSS_REASONS.has(code);
  const text = isTransient && !isCostly ? `${message} The page keeps trying.`.trim() : message;
  return problem('The agent did not join', text, { isTransient, isCostly });
}

/** Return the message as a sentence: the gateway's messages begin in lower case and have no period. */
function sentence(message) {
  const text = message && message[0].toUpperCase() + message.slice(1);
  return !text || /[.!?]$/.test(text) ? text : `${text}.`;
}
