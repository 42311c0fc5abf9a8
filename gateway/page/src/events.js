// Server-sent events over fetch, because EventSource cannot send an Authorization header.

/** Splits a text stream into events; `push` returns the events that are complete. Pure. */
export class EventReader {
  #rest = '';

  push(text) {
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

/** Yield the events of a response as they arrive. */
export async function* readEvents(response) {
  const reader = new EventReader();
  const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await text.read(); !part.done; part = await text.read()) yield* reader.push(part.value);
}
