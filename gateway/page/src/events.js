// Server-sent events over fetch, because EventSource cannot send a key.

/** Cuts a stream of text into events; `take` returns those that are complete. Pure. */
export class EventReader {
  #rest = '';

  take(text) {
    const blocks = (this.#rest + text).replaceAll('\r\n', '\n').split('\n\n');
    this.#rest = blocks.pop();
    return blocks.map(parse).filter((event) => event.data);
  }
}

function parse(block) {
  const event = { name: 'message', data: '' };
  for (const line of block.split('\n')) {
    const [field, value] = fieldOf(line);
    if (field === 'event') event.name = value;
    if (field === 'data') event.data += event.data ? `\n${value}` : value;
  }
  return event;
}

function fieldOf(line) {
  const colon = line.indexOf(':');
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
}

/** Every event of a response, as it comes. */
export async function* eventsOf(response) {
  const reader = new EventReader();
  const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await text.read(); !part.done; part = await text.read()) yield* reader.take(part.value);
}
