// What went wrong, in words for the person on the page. Pure.
//
// A problem: {title, text, passing, about}. `passing` ones are tried again by the page itself; `about` is
// `microphone`, `key` or empty, for what the page offers beside `Try again`.

const problem = (title, text, passing = false, about = '') => ({ title, text, passing, about });

const BLOCKED = problem(
  'The microphone is blocked',
  'Allow it for this page: the icon at the left of the address opens the settings of this site. Then try again.',
  false,
  'microphone',
);
const MICROPHONE = {
  NotAllowedError: BLOCKED,
  PermissionDeniedError: BLOCKED,
  SecurityError: BLOCKED,
  NotFoundError: problem('No microphone was found', 'Connect one, or choose another one, then try again.', false, 'microphone'),
  OverconstrainedError: problem('That microphone is gone', 'Choose another one, then try again.', false, 'microphone'),
  NotReadableError: problem(
    'The microphone does not answer',
    'Another program may be using it. Close that one, or choose another microphone, then try again.',
    false,
    'microphone',
  ),
  DeviceUnsupportedError: problem(
    'This page may not use a microphone',
    'Browsers lend it only to pages that came over HTTPS or from localhost.',
    false,
    'microphone',
  ),
};

const AWAY = problem('The server does not answer', 'The gateway cannot be reached. The page goes on trying.', true);
const MEDIA = problem(
  'The call cannot be connected',
  'The media server (LiveKit) does not answer. The page goes on trying.',
  true,
);

/** An answer of the gateway that is no success. */
export class GatewayError extends Error {
  constructor(status, body) {
    super(`the gateway answered ${status}`);
    this.status = status;
    this.told = body;
  }
}

/** The problem behind an error that was thrown while a call was prepared. */
export function explain(error) {
  const answer = answerOf(error);
  if (answer) return refused(answer);
  if (Object.hasOwn(MICROPHONE, error.name)) return MICROPHONE[error.name];
  if (error.name === 'ConnectionError') return MEDIA;
  if (error instanceof TypeError || error.name === 'TimeoutError') return AWAY;
  return problem('Something went wrong', error.message || String(error));
}

/** Why a call ended that nobody on this page ended: `next` as in retry.js, and what the session says. */
export function ended(next, session) {
  if (next === 'elsewhere') {
    return problem('The call goes on elsewhere', 'This conversation was opened in another tab.');
  }
  if (next === 'again') return problem('The connection was lost', 'Connecting again.', true);
  return problem('The conversation has ended', END[session?.endReason] ?? session?.message ?? '');
}

const END = {
  MaxDuration: 'It reached its longest duration.',
  Idle: 'Nobody had said anything for a while.',
  Requested: 'It was ended from outside.',
  NobodyCame: 'Nobody had joined in time.',
  AgentLost: 'The agent was lost, and could not be replaced.',
};

/** The gateway's {status, code, message}, from an error of ours or from the text of livekit-client's. */
function answerOf(error) {
  if (error instanceof GatewayError) return { status: error.status, ...bodyOf(error.told) };
  const found = /received (\d{3}) \/ (.*)$/s.exec(error.message ?? '');
  return found && { status: Number(found[1]), ...bodyOf(found[2]) };
}

function bodyOf(text) {
  try {
    const { code = '', message = '' } = JSON.parse(text).error;
    return { code, message };
  } catch {
    return { code: '', message: '' };
  }
}

function refused({ status, code, message }) {
  if (status === 401) return problem('A key is needed', 'Enter the key (or access token) that you were given for this gateway. It is kept in this tab only.', false, 'key');
  if (status === 429) return problem('Too many at once', sentence(message) || 'Try again in a moment.');
  if (status < 500) return problem('That is not possible', sentence(message) || code || `The server answered ${status}.`);
  if (!code) return AWAY;
  return problem('The agent did not come', `${sentence(message)} The page goes on trying.`.trim(), true);
}

/** The gateway's messages begin in lower case and have no full stop. */
function sentence(message) {
  const text = message && message[0].toUpperCase() + message.slice(1);
  return !text || /[.!?]$/.test(text) ? text : `${text}.`;
}
