// State of the page and its transitions. Pure: `reduce` returns the next state for an event.
import { addRemark, applySegment } from './transcript.js';

/**
 * `stage`: idle; starting (requests microphone and token, waits for the agent); connecting (to the media server);
 * live; reconnecting (livekit-client reconnects); waiting (for the next attempt).
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
  gatewayNotice: '',
  microphoneNotice: '',
  isMuted: false,
  isSilent: false,
  isSoundBlocked: false,
  microphones: [],
  microphone: '',
});

const NOT_IN_A_CALL = {
  agentState: '', quality: '', gatewayNotice: '', microphoneNotice: '', isSilent: false, isSoundBlocked: false,
};
const GATEWAY_UNAVAILABLE = 'The gateway does not answer right now.';
const CALL_CONTINUES = `${GATEWAY_UNAVAILABLE} The call continues.`;
const MICROPHONE_REMOVED = 'The selected microphone was removed. The default microphone is in use now.';
const MUTED_REMOTELY = 'Your microphone was lost, or muted from outside. Press Mute to turn it on again.';
const RESET_REMARK = 'The agent was restarted and begins a new conversation.';

const changes = {
  agents: (state, { agents, agent }) => ({ ...state, agents, agent, problem: null }),
  agentChosen: (state, { agent }) => ({ ...state, agent, offer: '' }),
  callOffered: (state, { agent }) => ({ ...state, offer: agent }),
  microphones: (state, { microphones }) => withAvailableMicrophone({ ...state, microphones }),
  microphone: (state, { microphone }) => ({ ...state, microphone, microphoneNotice: '' }),
  muted: (state, { isMuted }) => ({ ...state, isMuted, isSilent: false, microphoneNotice: '' }),
  microphoneChanged: (state, { microphone }) =>
    !state.microphone || state.microphone === microphone ? state : withDefaultMicrophone(state),
  mutedRemotely: (state) =>
    state.isMuted ? state : { ...state, isMuted: true, isSilent: false, microphoneNotice: MUTED_REMOTELY },
  microphoneFailed: (state, { problem, microphone = state.microphone, isMuted = state.isMuted }) => ({
    ...state, microphone, isMuted, microphoneNotice: `${problem.title}. ${problem.text}`,
  }),
  silenceDetected: (state) => ({ ...state, isSilent: !state.isMuted }),
  soundDetected: (state) => (state.isSilent ? { ...state, isSilent: false } : state),

  started: (state) => ({
    ...state, ...NOT_IN_A_CALL, stage: 'starting', session: null, lines: [], problem: null, offer: '',
  }),
  retrying: (state) => ({ ...state, stage: 'starting' }),
  token: (state) => ({ ...state, stage: 'connecting', gatewayNotice: '' }),
  live: (state) => ({ ...state, stage: 'live', problem: null }),
  reconnecting: (state) => ({ ...state, stage: 'reconnecting' }),
  waiting: (state, { problem, seconds }) => ({
    ...state, ...NOT_IN_A_CALL, stage: 'waiting', problem, waitSeconds: seconds,
  }),
  failed: (state, { problem }) => ({ ...state, ...NOT_IN_A_CALL, stage: 'idle', problem }),
  stopped: (state) => ({ ...state, ...NOT_IN_A_CALL, stage: 'idle', problem: null }),

  agentState: (state, { agentState }) => ({ ...state, agentState }),
  quality: (state, { quality }) => ({ ...state, quality }),
  playback: (state, { isBlocked }) => ({ ...state, isSoundBlocked: isBlocked }),
  transcribed: (state, { type: _, ...segment }) => ({ ...state, lines: applySegment(state.lines, segment) }),
  session: (state, { session }) => ({ ...state, session, gatewayNotice: '', lines: withResetRemark(state, session) }),
  gatewayUnavailable: (state) => ({ ...state, gatewayNotice: isInCall(state) ? CALL_CONTINUES : GATEWAY_UNAVAILABLE }),
};

/** Return the next state. Throws TypeError for an unknown event. */
export function reduce(state, event) {
  return changes[event.type](state, event);
}

export const isInCall = (state) => state.stage === 'live' || state.stage === 'reconnecting';

export const isBusy = (state) => state.stage !== 'idle';

const withDefaultMicrophone = (state) => ({ ...state, microphone: '', microphoneNotice: MICROPHONE_REMOVED });

/** Return the state with the default microphone if the selected one was unplugged. */
function withAvailableMicrophone(state) {
  const isAvailable = !state.microphone || state.microphones.some((each) => each.id === state.microphone);
  return isAvailable ? state : withDefaultMicrophone(state);
}

/** Return the transcript. A reset during the call discards the agent's conversation, so a remark marks its place. */
function withResetRemark(state, session) {
  const before = state.session;
  const isReset = before?.name === session.name && session.resets > before.resets;
  return isReset ? addRemark(state.lines, RESET_REMARK) : state.lines;
}
