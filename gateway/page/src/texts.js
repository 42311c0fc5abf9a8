// Texts for the state of the page. Pure.
import { displayName } from './tab_storage.js';

const STAGE = {
  idle: () => 'Not connected',
  starting: (agent) => `Waiting for ${agent} …`,
  connecting: (agent) => `${agent} is ready. Connecting …`,
  reconnecting: () => 'The connection was lost. Reconnecting …',
};
const AGENT = {
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
  initializing: 'Getting ready',
  idle: 'Idle',
};
const QUALITY = { excellent: 'Excellent', good: 'Good', poor: 'Poor', lost: 'Lost' };
const SILENT = 'No sound from your microphone. It may be muted, or another microphone may be selected.';

/** Return the displayed name of the selected agent. */
export function agentTitle(state) {
  const found = state.agents.find((agent) => agent.name === state.agent);
  return found ? displayName(found) : state.agent || 'the agent';
}

/** Return the sentence that describes the state of the call. */
export function statusText(state) {
  const agent = agentTitle(state);
  if (state.agents.length === 0) return state.problem ? '' : 'Loading …';
  if (state.stage === 'live') return AGENT[state.agentState] ?? `Connected. Waiting for ${agent} …`;
  if (state.stage === 'waiting') return retryText(state.waitSeconds);
  if (state.stage === 'starting' && state.problem) return retryText(0);
  return STAGE[state.stage](agent);
}

export const qualityText = (state) => QUALITY[state.quality] ?? '–';

/** Return the small print below the status. */
export function hintText(state) {
  if (state.gatewayNotice) return state.gatewayNotice;
  if (state.stage === 'starting') return pendingText(state.session);
  if (state.microphoneNotice) return state.microphoneNotice;
  if (state.isSilent) return SILENT;
  return state.isMuted && state.stage === 'live' ? 'You are muted.' : '';
}

const retryText = (seconds) => (seconds ? `Trying again in ${seconds} s` : 'Trying again …');

/** Return the operator's message about a session that is not Ready. */
const pendingText = (session) => (!session || session.phase === 'Ready' ? '' : session.message);
