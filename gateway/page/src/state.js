// What the page shows, and how it changes. Pure: one event in, the next state out.
import { remarked, told } from './transcript.js';

/**
 * `stage`: idle; starting (microphone, token: the agent is waited for); connecting (to the media server); live;
 * reconnecting (livekit-client is at it); waiting (for the next attempt).
 */
export const initial = Object.freeze({
  stage: 'idle',
  agents: [],
  agent: '',
  agentState: '',
  quality: '',
  session: null,
  lines: [],
  problem: null,
  waitSeconds: 0,
  offer: '',
  notice: '',
  trouble: '',
  isMuted: false,
  isSilent: false,
  isSoundBlocked: false,
  microphones: [],
  microphone: '',
});

const NOT_IN_A_CALL = { agentState: '', quality: '', notice: '', trouble: '', isSilent: false, isSoundBlocked: false };
const GATEWAY_AWAY = 'The gateway does not answer right now.';
const MOVED = 'The chosen microphone is gone. The default one is used.';
const SILENCED = 'Your microphone was lost, or muted from outside. Press Mute to use it again.';
const CALL_GOES_ON = `${GATEWAY_AWAY} The call itself goes on.`;

const changes = {
  agents: (state, { agents, agent }) => ({ ...state, agents, agent, problem: null }),
  chosen: (state, { agent }) => ({ ...state, agent, offer: '' }),
  offered: (state, { agent }) => ({ ...state, offer: agent }),
  microphones: (state, { microphones }) => withChosen({ ...state, microphones }),
  microphone: (state, { microphone }) => ({ ...state, microphone, trouble: '' }),
  muted: (state, { isMuted }) => ({ ...state, isMuted, isSilent: false, trouble: '' }),
  moved: (state, { microphone }) => (!state.microphone || state.microphone === microphone ? state : atDefault(state)),
  silenced: (state) => (state.isMuted ? state : { ...state, isMuted: true, isSilent: false, trouble: SILENCED }),
  unusable: (state, { problem, microphone = state.microphone, isMuted = state.isMuted }) => ({
    ...state, microphone, isMuted, trouble: `${problem.title}. ${problem.text}`,
  }),
  silent: (state) => ({ ...state, isSilent: !state.isMuted }),
  heard: (state) => (state.isSilent ? { ...state, isSilent: false } : state),

  started: (state) => ({ ...state, ...NOT_IN_A_CALL, stage: 'starting', session: null, lines: [], problem: null, offer: '' }),
  trying: (state) => ({ ...state, stage: 'starting' }),
  token: (state) => ({ ...state, stage: 'connecting', notice: '' }),
  live: (state) => ({ ...state, stage: 'live', problem: null }),
  reconnecting: (state) => ({ ...state, stage: 'reconnecting' }),
  waiting: (state, { problem, seconds }) => ({
    ...state, ...NOT_IN_A_CALL, stage: 'waiting', problem, waitSeconds: seconds,
  }),
  failed: (state, { problem }) => ({ ...state, ...NOT_IN_A_CALL, stage: 'idle', problem }),
  stopped: (state) => ({ ...state, ...NOT_IN_A_CALL, stage: 'idle', problem: null }),

  agentState: (state, { agentState }) => ({ ...state, agentState }),
  quality: (state, { quality }) => ({ ...state, quality }),
  sound: (state, { isBlocked }) => ({ ...state, isSoundBlocked: isBlocked }),
  said: (state, { type: _, ...line }) => ({ ...state, lines: told(state.lines, line) }),
  session: (state, { session }) => ({ ...state, session, notice: '', lines: withReset(state, session) }),
  unwatched: (state) => ({ ...state, notice: isInCall(state) ? CALL_GOES_ON : GATEWAY_AWAY }),
};

export function reduce(state, event) {
  return changes[event.type](state, event);
}

export const isInCall = (state) => state.stage === 'live' || state.stage === 'reconnecting';

export const isBusy = (state) => state.stage !== 'idle';

const atDefault = (state) => ({ ...state, microphone: '', trouble: MOVED });

/** Who unplugs the chosen microphone has the default one. */
function withChosen(state) {
  const isThere = !state.microphone || state.microphones.some((each) => each.id === state.microphone);
  return isThere ? state : atDefault(state);
}

/** A reset while people are there makes the agent forget: who reads the transcript should know where. */
function withReset(state, session) {
  const before = state.session;
  const isReset = before?.name === session.name && session.resets > before.resets;
  return isReset ? remarked(state.lines, 'The agent was restarted and begins anew.') : state.lines;
}
