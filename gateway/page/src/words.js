// What the state is called. Pure.
import { titleOf } from './memory.js';

const STAGE = {
  idle: () => 'Not connected',
  starting: (name) => `Waiting for ${name} …`,
  connecting: (name) => `${name} is there. Connecting …`,
  reconnecting: () => 'The connection was lost. Reconnecting …',
};
const AGENT = {
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
  initializing: 'Getting ready',
  idle: 'There',
};
const QUALITY = { excellent: 'Excellent', good: 'Good', poor: 'Poor', lost: 'Lost' };

export function nameOf(state) {
  const found = state.agents.find((agent) => agent.name === state.agent);
  return found ? titleOf(found) : state.agent || 'the agent';
}

/** The one sentence that tells where the call is. */
export function status(state) {
  const name = nameOf(state);
  if (state.agents.length === 0) return state.problem ? '' : 'Loading …';
  if (state.stage === 'live') return AGENT[state.agentState] ?? `Connected. ${name} is on the way …`;
  if (state.stage === 'waiting') return waiting(state.waitSeconds);
  if (state.stage === 'starting' && state.problem) return waiting(0);
  return STAGE[state.stage](name);
}

export const quality = (state) => QUALITY[state.quality] ?? '–';

/** Shown in small print under the status. */
export function hint(state) {
  if (state.notice) return state.notice;
  if (state.stage === 'starting') return lacking(state.session);
  if (state.trouble) return state.trouble;
  if (state.isSilent) return 'Your microphone gives no sound. Is it muted, or another one chosen?';
  return state.isMuted && state.stage === 'live' ? 'You are muted.' : '';
}

const waiting = (seconds) => (seconds ? `Trying again in ${seconds} s` : 'Trying again …');

/** What the operator says that a session which is waited for lacks. */
const lacking = (session) => (!session || session.phase === 'Ready' ? '' : session.message);
