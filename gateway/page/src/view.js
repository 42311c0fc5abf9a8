// The page's elements, drawn from the state; only what changed is touched.
import { titleOf } from './memory.js';
import { isBusy, isInCall } from './state.js';
import { drawTranscript } from './transcript_view.js';
import { hint, nameOf, quality, status } from './words.js';

const find = (id) => document.getElementById(id);
const GONE = new Set(['idle', 'waiting']);
const BUSY_TRYING = new Set(['starting', 'connecting']);
const BARS = { excellent: 3, good: 2, poor: 1 };

/** Calls back with (before, after) parts of a state when one of `of(state)` differs. */
const when = (of, draw) => (before, after) => {
  if (!before || !same(of(before), of(after))) draw(after, before);
};
const same = (a, b) => a.every((value, index) => Object.is(value, b[index]));

const DRAWN = [
  when((s) => [s.agents, s.agent], drawAgents),
  when((s) => [s.stage, s.agents], drawActions),
  when((s) => [s.stage, s.agentState], drawOrb),
  when((s) => [status(s)], (s) => setText('status', status(s))),
  when((s) => [hint(s)], (s) => setText('hint', hint(s))),
  when((s) => [s.problem, s.stage], drawProblem),
  when((s) => [s.offer, s.agents], drawOffer),
  when((s) => [s.session, s.stage, s.quality], drawFacts),
  when((s) => [s.microphones, s.microphone], drawMicrophones),
  when((s) => [s.isMuted, s.stage], drawMute),
  when((s) => [s.isSoundBlocked], (s) => setHidden('sound', !s.isSoundBlocked)),
  when((s) => [s.problem], drawKey),
  when((s) => [s.lines], drawTranscript),
];

export function draw(before, after) {
  DRAWN.forEach((part) => part(before, after));
}

/** How loud, from 0 to 1; many times a second, so past the state. */
export const levels = {
  microphone: (level) => (find('level').value = level),
  agent: (level) => find('orb').style.setProperty('--level', level.toFixed(3)),
};

function setText(id, text) {
  find(id).textContent = text;
}

function setHidden(id, isHidden) {
  if (isHidden) leave(find(id));
  find(id).hidden = isHidden;
}

/** Whoever is at what is about to go finds herself at the main button, not at the beginning of the page. */
function leave(element) {
  if (element.contains(document.activeElement)) find('connect').focus();
}

function options(select, chosen, list) {
  select.replaceChildren(...list.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

function drawAgents(state) {
  const named = (agent) => [agent.name, agent.ready ? titleOf(agent) : `${titleOf(agent)} (not ready)`];
  options(find('agent'), state.agent, state.agents.map(named));
  const title = state.agents.length ? nameOf(state) : 'Agent';
  setText('agent-name', title);
  document.title = state.agents.length ? `${title} · voicesession` : 'voicesession';
}

function drawActions(state) {
  const connect = find('connect');
  connect.disabled = state.agents.length === 0;
  connect.textContent = isBusy(state) ? 'Disconnect' : 'Connect';
  connect.classList.toggle('leave', isBusy(state));
  find('main').classList.toggle('busy', isBusy(state));
  find('agent').disabled = isBusy(state) || state.agents.length === 0;
}

function drawOrb(state) {
  const { classList } = find('orb');
  const isSpeaking = state.stage === 'live' && state.agentState;
  classList.value = `orb ${state.stage} ${isSpeaking || ''}`.trim();
}

function drawProblem({ problem, stage }) {
  setHidden('problem', !problem);
  setText('problem-title', problem?.title ?? '');
  setText('problem-text', problem?.text ?? '');
  find('retry').textContent = stage === 'waiting' ? 'Try now' : 'Try again';
  setHidden('retry', problem?.about === 'key' || BUSY_TRYING.has(stage));
}

function drawOffer(state) {
  setHidden('offer', !state.offer);
  const agent = state.agents.find((each) => each.name === state.offer);
  setText('offer-text', state.offer ? `Your conversation with ${agent ? titleOf(agent) : state.offer} may still go on.` : '');
}

function drawFacts(state) {
  find('facts').hidden = GONE.has(state.stage) || !(state.session || isInCall(state));
  setText('session-name', state.session?.name ?? '–');
  setText('session-phase', state.session?.phase ?? '–');
  setText('quality', quality(state));
  find('bars').dataset.bars = BARS[state.quality] ?? 0;
}

function drawMicrophones(state) {
  const unnamed = ['default', 'communications'];
  const real = state.microphones.filter((each) => !unnamed.includes(each.id));
  options(find('microphone'), state.microphone, [['', 'Default microphone'], ...real.map((each) => [each.id, each.label])]);
}

function drawMute(state) {
  const mute = find('mute');
  if (!isInCall(state)) leave(mute);
  mute.disabled = !isInCall(state);
  mute.setAttribute('aria-pressed', String(state.isMuted));
}

function drawKey(state) {
  const isNeeded = state.problem?.about === 'key';
  setHidden('key-form', !isNeeded);
  if (isNeeded) find('key').focus();
}
