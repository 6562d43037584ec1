import { Agent, request as httpRequest } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

const agent = new Agent({ keepAlive: true });

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
