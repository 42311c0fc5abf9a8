// From Connect to Disconnect: microphone, token, room, and all of it again while nobody wanted the end.
import { Call } from './call.js';
import { wait } from './clock.js';
import { mark } from './marks.js';
import * as microphone from './microphone.js';
import { ended, explain, GatewayError } from './problems.js';
import { afterwards, Attempts } from './retry.js';
import { watch } from './watch.js';

/** A token that takes longer than this is worth telling what the session lacks. */
const SLOW_SECONDS = 2;

export class Conversation {
  #stop = new AbortController();
  #hurry = new AbortController();
  #call;
  #mic;
  isSuspended = false;

  /** `show` draws: {dispatch, state(), audio, agentLevel, microphoneLevel}. */
  constructor(gateway, memory, show) {
    Object.assign(this, { gateway, memory, show, dispatch: show.dispatch });
    this.#stop.abort();
  }

  get isWanted() {
    return !this.#stop.signal.aborted;
  }

  /** Connect, and stay connected; returns when it is over. */
  async start(agent) {
    if (this.isWanted) return;
    const { signal } = (this.#stop = new AbortController());
    this.isSuspended = false;
    mark('clicked');
    this.dispatch({ type: 'started' });
    const attempts = new Attempts(this.memory.call?.agent === agent);
    this.#keep(agent);
    const problem = await this.#persist(agent, attempts, signal);
    if (signal.aborted) return;
    this.#stop.abort();
    this.memory.forgetCall();
    this.dispatch({ type: 'failed', problem });
  }

  async stop() {
    this.#stop.abort();
    this.memory.forgetCall();
    this.dispatch({ type: 'stopped' });
    this.#close();
    await this.#call?.leave();
  }

  /** The page is about to go away, perhaps to come back. */
  suspend() {
    if (!this.isWanted) return;
    this.#keep(this.show.state().agent);
    this.isSuspended = true;
    this.#stop.abort();
  }

  /** Do not wait for the next attempt. */
  hurry() {
    this.#hurry.abort();
  }

  async mute(isMuted) {
    this.dispatch({ type: 'muted', isMuted });
    try {
      await (isMuted ? this.#mic?.track.mute() : this.#mic?.track.unmute());
    } catch (error) {
      this.dispatch({ type: 'unusable', isMuted: true, problem: explain(error) });
    }
  }

  /** Where the new one cannot be used, the old one is again; where neither can, the person is muted. */
  async useMicrophone(id) {
    const before = this.show.state().microphone;
    const track = this.#mic?.track;
    this.dispatch({ type: 'microphone', microphone: id });
    if (!track) return;
    try {
      await microphone.move(track, id);
    } catch (error) {
      this.dispatch({ type: 'unusable', microphone: before, problem: explain(error) });
      await microphone.move(track, before).catch(() => track.mute());
    }
  }

  unblockSound() {
    return this.#call?.unblockSound();
  }

  /** One attempt after the other; returns the problem after which there is no use in another. */
  async #persist(agent, attempts, signal) {
    while (!signal.aborted) {
      const { problem, stay } = await this.#attempt(agent, signal);
      if (signal.aborted) return null;
      this.#close();
      const seconds = attempts.next(problem, stay);
      if (seconds === null) return problem;
      await this.#rest(problem, seconds, signal);
    }
    return null;
  }

  /** One attempt, to its end: why it ended, and how many seconds it was in the room (null: never). */
  async #attempt(agent, signal) {
    let call;
    try {
      const grant = await this.#prepare(agent, signal);
      if (signal.aborted) return {};
      this.dispatch({ type: 'token' });
      this.#call = call = new Call(this.dispatch, this.show.audio, this.show.agentLevel);
      await call.join(grant, this.#mic.track);
      const since = performance.now();
      if (signal.aborted) return await call.leave(), {};
      const problem = await this.#stay(call, signal);
      return { problem, stay: (performance.now() - since) / 1000 };
    } catch (error) {
      await call?.leave();
      return { problem: explain(error), stay: null };
    }
  }

  /** Microphone and token: at the same time, unless the person has to be asked for the microphone first. */
  async #prepare(agent, signal) {
    if (!(await microphone.isAllowed())) await this.#open(signal);
    const opened = this.#mic ? Promise.resolve() : this.#open(signal);
    const token = this.#token(agent, signal);
    await Promise.all([opened, token]).catch((error) => {
      this.#giveBack(token, signal);
      throw error;
    });
    if (signal.aborted) this.#giveBack(token, signal);
    return token;
  }

  async #open(signal) {
    const { state, microphoneLevel, dispatch } = this.show;
    const { microphone: id, isMuted } = state();
    const on = {
      heard: () => dispatch({ type: 'heard' }),
      moved: (used) => dispatch({ type: 'moved', microphone: used }),
      muted: () => dispatch({ type: 'silenced' }),
    };
    const opened = await microphone.open(id, isMuted, microphoneLevel, on);
    if (signal.aborted) return opened.close();
    this.#mic = opened;
    return dispatch({ type: 'microphones', microphones: await microphone.microphones() });
  }

  async #token(agent, signal) {
    const known = new AbortController();
    const slow = wait(SLOW_SECONDS, AbortSignal.any([signal, known.signal]));
    slow.then(() => known.signal.aborted || signal.aborted || this.#explainWait(agent, known.signal));
    try {
      const grant = await this.gateway.token(agent);
      mark('token');
      return grant;
    } finally {
      known.abort();
    }
  }

  /** While the token is waited for: what the session that is being made lacks. */
  async #explainWait(agent, signal) {
    try {
      const session = await this.gateway.sessionOf(agent);
      if (!signal.aborted) await this.#watch(session.name, signal);
    } catch (error) {
      // a refusal meets the token request too, which tells it; silence it meets much later
      if (!(error instanceof GatewayError || signal.aborted)) this.dispatch({ type: 'unwatched' });
    }
  }

  /** In the room until it ends; returns the problem, or null where this page ended it. */
  async #stay(call, signal) {
    const over = new AbortController();
    this.#watch(call.session, AbortSignal.any([over.signal, signal]));
    const reason = await call.ended;
    over.abort();
    if (signal.aborted) return null;
    const session = await this.gateway.session(call.session).catch(() => this.show.state().session);
    return ended(afterwards(reason, session?.endReason), session);
  }

  #watch(name, signal) {
    if (!name) return undefined;
    const changed = (session) => signal.aborted || this.dispatch({ type: 'session', session });
    return watch(this.gateway, name, { changed, lost: () => this.dispatch({ type: 'unwatched' }), wait, signal });
  }

  /** Nobody will come to the session of this token, unless Connect was pressed again in the meantime. */
  #giveBack(token, signal) {
    const isLast = () => this.#stop.signal === signal;
    token.then((grant) => isLast() && this.gateway.end(sessionIn(grant))).catch(() => {});
  }

  async #rest(problem, seconds, signal) {
    this.#hurry = new AbortController();
    this.dispatch({ type: 'waiting', problem, seconds });
    await wait(seconds, AbortSignal.any([this.#hurry.signal, signal]));
    if (!signal.aborted) this.dispatch({ type: 'trying' });
  }

  /** For a reload, or a tab that is restored. */
  #keep(agent) {
    this.memory.keepCall(agent, this.show.state().isMuted);
  }

  #close() {
    this.#mic?.close();
    this.#mic = undefined;
  }
}

/** The VoiceSession that a token leads to. */
function sessionIn({ participantToken }) {
  const payload = participantToken.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(atob(payload)).attributes['voicesession.session'];
}
