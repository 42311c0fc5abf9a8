// What went wrong, in words for the person on the page. Pure.
//
// A problem: {title, text, passing, about, isLimit, isCostly, after}. `passing` ones are tried again by the page
// itself, `isLimit` ones too where the person was in the call already; an attempt that is `isCostly` may have made a
// session, so there are only so many of them. `after` is how many seconds the gateway wants to be left alone.
// `about` is `microphone`, `key` or empty, for what the page offers beside `Try again`.

const NONE = { passing: false, about: '', isLimit: false, isCostly: false, after: 0 };
const problem = (title, text, more = {}) => ({ ...NONE, title, text, ...more });
const MICROPHONE_MENDS = { about: 'microphone' };

const BLOCKED = problem(
  'The microphone is blocked',
  'Allow it for this page: the icon at the left of the address opens the settings of this site. Then try again.',
  MICROPHONE_MENDS,
);
const MICROPHONE = {
  NotAllowedError: BLOCKED,
  PermissionDeniedError: BLOCKED,
  SecurityError: BLOCKED,
  NotFoundError: problem('No microphone was found', 'Connect one, or choose another one, then try again.', MICROPHONE_MENDS),
  OverconstrainedError: problem('That microphone is gone', 'Choose another one, then try again.', MICROPHONE_MENDS),
  NotReadableError: problem(
    'The microphone does not answer',
    'Another program may be using it. Close that one, or choose another microphone, then try again.',
    MICROPHONE_MENDS,
  ),
  DeviceUnsupportedError: problem(
    'This page may not use a microphone',
    'Browsers lend it only to pages that came over HTTPS or from localhost.',
    MICROPHONE_MENDS,
  ),
};

const AWAY = problem('The server does not answer', 'The gateway cannot be reached. The page goes on trying.', { passing: true });
const MEDIA = problem(
  'The call cannot be connected',
  'The media server (LiveKit) does not answer. The page goes on trying.',
  { passing: true },
);
/** End reasons of a session that was being made, after which the next one would end the same way. */
const FINAL = new Set(['Invalid', 'Requested']);
/** Those after which it may be otherwise, at the price of another session. */
const LOST = new Set(['AgentLost', 'RoomLost']);
const TOO_LATE = 504;
/** Seconds, where the Retry-After of an answer cannot be read: as the gateway has it for this code. */
const AFTER = { TooManySessions: 10, RateLimited: 1 };

/** An answer of the gateway that is no success; `after` is its Retry-After in seconds, 0 for none. */
export class GatewayError extends Error {
  constructor(status, body, after = 0) {
    super(`the gateway answered ${status}`);
    Object.assign(this, { status, told: body, after });
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
  if (next === 'again') return problem('The connection was lost', 'Connecting again.', { passing: true });
  return problem('The conversation has ended', END[session?.endReason] ?? session?.message ?? '');
}

const END = {
  MaxDuration: 'It reached its longest duration.',
  Idle: 'Nobody had said anything for a while.',
  Requested: 'It was ended from outside.',
  NobodyCame: 'Nobody had joined in time.',
  AgentLost: 'The agent was lost, and could not be replaced.',
};

/** The gateway's {status, code, message, after}, from an error of ours or from the text of livekit-client's. */
function answerOf(error) {
  if (error instanceof GatewayError) return { status: error.status, after: error.after, ...bodyOf(error.told) };
  const found = /received (\d{3}) \/ (.*)$/s.exec(error.message ?? '');
  return found && { status: Number(found[1]), after: 0, ...bodyOf(found[2]) };
}

function bodyOf(text) {
  try {
    const { code = '', message = '' } = JSON.parse(text).error;
    return { code, message };
  } catch {
    return { code: '', message: '' };
  }
}

function refused({ status, code, message, after }) {
  if (status === 401) return problem('A key is needed', 'Enter the key (or access token) that you were given for this gateway. It is kept in this tab only.', { about: 'key' });
  if (status === 429) return tooMany(sentence(message), after || (AFTER[code] ?? 0));
  if (status < 500) return problem('That is not possible', sentence(message) || code || `The server answered ${status}.`);
  if (!code) return AWAY;
  return notCome(status, code, sentence(message));
}

const tooMany = (said, after) => problem('Too many at once', said || 'Try again in a moment.', { isLimit: true, after });

function notCome(status, code, said) {
  const passing = !FINAL.has(code);
  const isCostly = status === TOO_LATE || LOST.has(code);
  const text = passing && !isCostly ? `${said} The page goes on trying.`.trim() : said;
  return problem('The agent did not come', text, { passing, isCostly });
}

/** The gateway's messages begin in lower case and have no full stop. */
function sentence(message) {
  const text = message && message[0].toUpperCase() + message.slice(1);
  return !text || /[.!?]$/.test(text) ? text : `${text}.`;
}
