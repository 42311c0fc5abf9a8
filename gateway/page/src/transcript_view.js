// Transcript on the page: one element per segment, updated in place while the segment grows.
import { agentTitle } from './texts.js';
import { keyOf, newlyFinal } from './transcript.js';

const NEAR_END_PIXELS = 60;
const MAX_ANNOUNCEMENTS = 20;

const elements = new Map();

export function drawTranscript(state, before) {
  const list = document.getElementById('lines');
  const scroll = document.getElementById('scroll');
  const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END_PIXELS;
  document.getElementById('empty').hidden = state.lines.length > 0;
  const items = state.lines.map((line) => drawLine(line, agentTitle(state)));
  removeExcept(new Set(state.lines.map(keyOf)));
  items.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
  if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  announce(newlyFinal(before?.lines ?? [], state.lines), agentTitle(state));
}

function drawLine(line, agent) {
  const key = keyOf(line);
  const item = elements.get(key) ?? elements.set(key, createLine(line, agent)).get(key);
  const text = item.lastElementChild;
  if (text.textContent !== line.text) text.textContent = line.text;
  item.classList.toggle('final', line.final);
  return item;
}

function createLine({ speaker }, agent) {
  const item = document.createElement('li');
  item.className = speaker;
  if (speaker !== 'remark') item.append(createElement('span', 'speaker', speaker === 'you' ? 'You' : agent));
  item.append(createElement('p', '', ''));
  return item;
}

function removeExcept(kept) {
  for (const [key, item] of elements) {
    if (kept.has(key)) continue;
    item.remove();
    elements.delete(key);
  }
}

/** Announce each line to screen readers once, when it is final. */
function announce(lines, agent) {
  const announcements = document.getElementById('announcements');
  const prefix = { you: 'You: ', agent: `${agent}: `, remark: '' };
  announcements.append(...lines.map((line) => createElement('p', '', prefix[line.speaker] + line.text)));
  while (announcements.children.length > MAX_ANNOUNCEMENTS) announcements.firstElementChild.remove();
}

function createElement(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
