import { Agent, request as httpRequest } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

const agent = new Agent({ keepAlive: true });

/** What follows the first bytes within this time has come with them. The LLM takes 20 ms for each word. */
const AT_ONCE_MS = 10;

/** How many connections are opened in one go; more than the system's backlog would be refused on some systems. */
const WAVE = 50;

/** One question over HTTP. The sample app tells in headers what its cache did. */
export async function ask(url, question) {
  const startedAt = performance.now();
  const { status, headers, body } = await post(`${url}/ask`, JSON.stringify({ question }));
  if (status !== 200) throw new Error(`POST /ask answered ${status}: ${body}`);
  return {
    text: JSON.parse(body).answer,
    ms: performance.now() - startedAt,
    status: headers['x-llm-cache'],
    tokens: Number(headers['x-llm-tokens']),
    msSaved: Number(headers['x-llm-cache-saved-ms']),
  };
}

export async function askAtOnce(url, question, callers) {
  const answers = [];
  for (let caller = 0; caller < callers; caller++) {
    answers.push(ask(url, question));
    if (caller % WAVE === 0) await nextTurn();
  }
  return Promise.all(answers);
}

/**
 * Reads the streamed reply to a ticket. `onText` is told each time that something has come: all of it so far.
 * Times are milliseconds from the request on; `firstText` is what came at once.
 */
export async function askForReply(url, ticket, onText = () => {}) {
  const startedAt = performance.now();
  const response = await fetch(`${url}/tickets/reply`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ticket }),
  });
  if (response.status !== 200) throw new Error(`POST /tickets/reply answered ${response.status}: ${await response.text()}`);
  const { headers } = response;
  // What a stream saved is known from its start where it comes from the cache, and nowhere else.
  const saved = { tokens: Number(headers.get('x-llm-tokens')), msSaved: Number(headers.get('x-llm-cache-saved-ms')) };
  const reply = { ...saved, cacheStatus: headers.get('cache-status'), text: '', firstText: '', firstMs: 0, ms: 0, ended: false };
  let unread = '';
  let timer;
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (unread + bytes).split('\n\n');
    unread = events.pop();
    for (const event of events) take(reply, event.slice('data: '.length));
    if (timer === undefined) {
      reply.firstMs = performance.now() - startedAt;
      timer = setTimeout(() => (reply.firstText = reply.text), AT_ONCE_MS);
    }
    onText(reply.text);
  }
  clearTimeout(timer);
  reply.firstText ||= reply.text;
  if (!reply.ended) throw new Error('POST /tickets/reply broke off.');
  return { ...reply, ms: performance.now() - startedAt };
}

function take(reply, data) {
  if (data === '[DONE]') reply.ended = true;
  else {
    const { text, error } = JSON.parse(data);
    if (error) throw new Error(error.message);
    reply.text += text;
  }
}

function post(url, body) {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = httpRequest(url, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (text += chunk));
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
    });
    request.once('error', reject);
    request.end(body);
  });
}
