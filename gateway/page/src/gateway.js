// The gateway's HTTP API, as this page uses it.
import { eventsOf } from './events.js';
import { GatewayError } from './problems.js';

const ANSWER_MILLISECONDS = 10_000;
/** Beyond the time that the gateway waits for an agent: for the answer's way, and for finding the session. */
const TOKEN_MARGIN_MILLISECONDS = 15_000;
const CONFIG = 'config.json';

export class Gateway {
  /** `tokenSource` is livekit-client's TokenSource. */
  constructor(memory, tokenSource) {
    Object.assign(this, { memory, tokenSource });
    this.config = {};
  }

  /** Where things are and who may ask; the other calls need it. */
  async configure() {
    this.config = await (await this.#ask(CONFIG)).json();
    return this.config;
  }

  async agents() {
    return (await this.#ask(this.config.agentsEndpoint)).json();
  }

  /** LiveKit's own token source: the answer comes when the agent is in the room, or it throws a TimeoutError. */
  token(agent) {
    const { memory, tokenSource, config } = this;
    const signal = AbortSignal.timeout(config.readySeconds * 1000 + TOKEN_MARGIN_MILLISECONDS);
    const source = tokenSource.endpoint(config.tokenEndpoint, { headers: this.#headers(), signal });
    return source.fetch({ agentName: agent, roomName: memory.roomName(agent), participantIdentity: memory.identity }, true);
  }

  /** The session that a token is being waited for; asking for it makes no second one. */
  async sessionOf(agent) {
    const { roomName, user } = { roomName: this.memory.roomName(agent), user: this.memory.identity };
    const body = JSON.stringify({ agent, roomName, ...(this.config.auth === 'oidc' ? {} : { user }) });
    const headers = { 'Content-Type': 'application/json' };
    return (await this.#ask(this.config.sessionsEndpoint, { method: 'POST', body, headers })).json();
  }

  async session(name) {
    return (await this.#ask(this.#of(name))).json();
  }

  async end(name) {
    await this.#ask(this.#of(name), { method: 'DELETE' });
  }

  /** The session's state, at once and at every change, until it is over, `signal` says so or the connection breaks. */
  async *follow(name, signal) {
    const response = await checked(await this.#begun(`${this.#of(name)}/events`, signal));
    for await (const event of eventsOf(response)) if (event.name === 'session') yield JSON.parse(event.data);
  }

  /** A stream may last for hours, but has to begin: a gateway that is away may leave a request hanging. */
  async #begun(path, signal) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), ANSWER_MILLISECONDS);
    try {
      return await fetch(path, { headers: this.#headers(), signal: AbortSignal.any([signal, late.signal]) });
    } finally {
      clearTimeout(timer);
    }
  }

  #of(name) {
    return `${this.config.sessionsEndpoint}/${encodeURIComponent(name)}`;
  }

  #headers() {
    return this.memory.key ? { Authorization: `Bearer ${this.memory.key}` } : {};
  }

  async #ask(path, { headers, ...options } = {}) {
    const signal = AbortSignal.timeout(ANSWER_MILLISECONDS);
    return checked(await fetch(path, { ...options, signal, headers: { ...this.#headers(), ...headers } }));
  }
}

/** The response if it is a success; throws GatewayError. */
async function checked(response) {
  if (response.ok) return response;
  throw new GatewayError(response.status, await response.text(), Number(response.headers.get('Retry-After')) || 0);
}
