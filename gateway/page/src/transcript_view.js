// The transcript on the page: a line for each segment, rewritten in place while it is spoken.
import { keyOf, newlyFinal } from './transcript.js';
import { nameOf } from './words.js';

const NEAR_END = 60;
const SPOKEN_KEPT = 20;

const drawn = new Map();

export function drawTranscript(state, before) {
  const list = document.getElementById('lines');
  const scroll = document.getElementById('scroll');
  const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END;
  document.getElementById('empty').hidden = state.lines.length > 0;
  const items = state.lines.map((line) => drawLine(line, nameOf(state)));
  forget(new Set(state.lines.map(keyOf)));
  items.forEach((item, index) => list.children[index] === item || list.insertBefore(item, list.children[index] ?? null));
  if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  speak(newlyFinal(before?.lines ?? [], state.lines), nameOf(state));
}

function drawLine(line, agent) {
  const key = keyOf(line);
  const item = drawn.get(key) ?? drawn.set(key, made(line, agent)).get(key);
  const text = item.lastElementChild;
  if (text.textContent !== line.text) text.textContent = line.text;
  item.classList.toggle('final', line.final);
  return item;
}

function made({ who }, agent) {
  const item = document.createElement('li');
  item.className = who;
  if (who !== 'remark') item.append(element('span', 'who', who === 'you' ? 'You' : agent));
  item.append(element('p', '', ''));
  return item;
}

function forget(kept) {
  for (const [key, item] of drawn) {
    if (kept.has(key)) continue;
    item.remove();
    drawn.delete(key);
  }
}

/** Whoever cannot see it hears each line once, when it is final. */
function speak(lines, agent) {
  const spoken = document.getElementById('spoken');
  const who = { you: 'You: ', agent: `${agent}: `, remark: '' };
  spoken.append(...lines.map((line) => element('p', '', who[line.who] + line.text)));
  while (spoken.children.length > SPOKEN_KEPT) spoken.firstElementChild.remove();
}

function element(tag, className, text) {
  const made_ = document.createElement(tag);
  if (className) made_.className = className;
  made_.textContent = text;
  return made_;
}
