// Puts the parts together: state, page, gateway, conversation.
import { LogLevel, setLogLevel, TokenSource } from 'livekit-client';
import { wait } from './clock.js';
import { Conversation } from './conversation.js';
import { Gateway } from './gateway.js';
import { arrival, choose, Memory, ordered } from './memory.js';
import * as microphone from './microphone.js';
import { explain } from './problems.js';
import { rest } from './retry.js';
import { initial, reduce } from './state.js';
import { draw, levels } from './view.js';

const ID_BYTES = 8;

const find = (id) => document.getElementById(id);
const memory = new Memory(sessionStorage, randomId, Date.now);
const gateway = new Gateway(memory, TokenSource);
let state = initial;
let isLoading = false;
let hurry = new AbortController();

function dispatch(event) {
  const before = state;
  state = reduce(before, event);
  if (state !== before) draw(before, state);
}

const conversation = new Conversation(gateway, memory, {
  dispatch,
  state: () => state,
  audio: find('audio'),
  agentLevel: levels.agent,
  microphoneLevel: levels.microphone,
});

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Which agents there are: tried until the gateway answers, or says no. */
async function load() {
  if (isLoading) return;
  isLoading = true;
  for (let failures = 0; state.agents.length === 0; failures += 1) {
    const problem = await loadOnce().catch(explain);
    if (!problem) break;
    dispatch({ type: 'failed', problem });
    if (!problem.passing && !problem.isLimit) break;
    hurry = new AbortController();
    await wait(rest(failures + 1, problem.after), hurry.signal);
  }
  isLoading = false;
}

async function loadOnce() {
  const { defaultAgent } = await gateway.configure();
  const agents = ordered(await gateway.agents(), defaultAgent);
  const asked = new URLSearchParams(location.search).get('agent');
  dispatch({ type: 'agents', agents, agent: choose(agents, asked, defaultAgent) });
  if (agents.length === 0) return { title: 'There is no agent', text: 'Apply a VoiceAgent, then try again.' };
  return takeUp(memory.call);
}

/** Go on with the call that the tab was in, or offer it. */
function takeUp(call) {
  const [{ type } = {}] = performance.getEntriesByType('navigation');
  const what = arrival(call, type, Date.now());
  if (what === 'none') return memory.forgetCall();
  if (call.muted) dispatch({ type: 'muted', isMuted: true });
  if (what === 'offer') return dispatch({ type: 'offered', agent: call.agent });
  return resume(call.agent);
}

function resume(agent) {
  dispatch({ type: 'chosen', agent });
  conversation.start(agent);
}

function retry() {
  if (conversation.isWanted) conversation.hurry();
  else if (isLoading) hurry.abort();
  else if (state.agents.length === 0) load();
  else conversation.start(state.agent);
}

function useKey(event) {
  event.preventDefault();
  memory.key = find('key').value.trim();
  find('key').value = '';
  retry();
}

async function listMicrophones() {
  dispatch({ type: 'microphones', microphones: await microphone.microphones() });
}

find('connect').addEventListener('click', () => (conversation.isWanted ? conversation.stop() : conversation.start(state.agent)));
find('mute').addEventListener('click', () => conversation.mute(!state.isMuted));
find('sound').addEventListener('click', () => conversation.unblockSound());
find('retry').addEventListener('click', retry);
find('continue').addEventListener('click', () => resume(state.offer));
find('key-form').addEventListener('submit', useKey);
find('agent').addEventListener('change', (event) => dispatch({ type: 'chosen', agent: event.target.value }));
find('microphone').addEventListener('change', (event) => conversation.useMicrophone(event.target.value));
// livekit-client leaves the room at these, which must not look like the end of the conversation
for (const event of ['beforeunload', 'pagehide', 'freeze']) addEventListener(event, () => conversation.suspend());
addEventListener('pageshow', (event) => event.persisted && location.reload());
addEventListener('resume', () => conversation.isSuspended && location.reload());
microphone.onDevicesChanged(listMicrophones);
microphone.onAllowed(() => state.problem?.about === 'microphone' && retry());
setLogLevel(LogLevel.warn);
draw(null, state);
listMicrophones();
load();
