// Client of the gateway's HTTP API.
import { readEvents } from './events.js';
import { GatewayError } from './problems.js';

const TIMEOUT_MILLISECONDS = 10_000;
/** Added to the gateway's own wait for an agent: time for the network and for finding the session. */
const TOKEN_MARGIN_MILLISECONDS = 15_000;
const CONFIG = 'config.json';

export class Gateway {
  /** `storage` holds identity and key; `tokenSource` is livekit-client's TokenSource. */
  constructor(storage, tokenSource) {
    Object.assign(this, { storage, tokenSource });
    this.config = {};
  }

  /** Load endpoints and authentication mode; every other method needs them. */
  async configure() {
    this.config = await (await this.#request(CONFIG)).json();
    return this.config;
  }

  async agents() {
    return (await this.#request(this.config.agentsEndpoint)).json();
  }

  /** Get a token with LiveKit's token source, once the agent is in the room. Throws a TimeoutError. */
  token(agent) {
    const { storage, tokenSource, config } = this;
    const signal = AbortSignal.timeout(config.readySeconds * 1000 + TOKEN_MARGIN_MILLISECONDS);
    const source = tokenSource.endpoint(config.tokenEndpoint, { headers: this.#headers(), signal });
    const request = { agentName: agent, roomName: storage.roomName(agent), participantIdentity: storage.identity };
    return source.fetch(request, true);
  }

  /** Get the session of a pending token request. The room name is the same, so no second session is created. */
  async findOrCreateSession(agent) {
    const { roomName, user } = { roomName: this.storage.roomName(agent), user: this.storage.identity };
    const body = JSON.stringify({ agent, roomName, ...(this.config.auth === 'oidc' ? {} : { user }) });
    const headers = { 'Content-Type': 'application/json' };
    return (await this.#request(this.config.sessionsEndpoint, { method: 'POST', body, headers })).json();
  }

  async session(name) {
    return (await this.#request(this.#sessionPath(name))).json();
  }

  async end(name) {
    await this.#request(this.#sessionPath(name), { method: 'DELETE' });
  }

  /** Yield the session at once and at every change, until it ends, `signal` is aborted or the connection breaks. */
  async *streamSession(name, signal) {
    const response = await requireSuccess(await this.#openStream(`${this.#sessionPath(name)}/events`, signal));
    for await (const event of readEvents(response)) if (event.name === 'session') yield JSON.parse(event.data);
  }

  /** Open a stream. The timeout covers only its start: the stream may last for hours. */
  async #openStream(path, signal) {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), TIMEOUT_MILLISECONDS);
    try {
      return await fetch(path, { headers: this.#headers(), signal: AbortSignal.any([signal, timeout.signal]) });
    } finally {
      clearTimeout(timer);
    }
  }

  #sessionPath(name) {
    return `${this.config.sessionsEndpoint}/${encodeURIComponent(name)}`;
  }

  #headers() {
    return this.storage.key ? { Authorization: `Bearer ${this.storage.key}` } : {};
  }

  async #request(path, { headers, ...options } = {}) {
    const signal = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
    return requireSuccess(await fetch(path, { ...options, signal, headers: { ...this.#headers(), ...headers } }));
  }
}

/** Return a successful response. Throws GatewayError for any other. */
async function requireSuccess(response) {
  if (response.ok) return response;
  throw new GatewayError(response.status, await response.text(), Number(response.headers.get('Retry-After')) || 0);
}
