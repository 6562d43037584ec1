import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { answersTo, CommandLine, lines } from '../../fixtures/cli/command-line.js';
import { answer, cut, refuse, type Respond } from '../../fixtures/cli/loopback-llm.js';

let cli: CommandLine;
beforeEach(async () => (cli = await CommandLine.open()));
afterEach(() => cli.close());

const HTML = '<!doctype html><title>Welcome</title>';
const error = (fields: object) => ({ error: { message: 'You asked: question 1', ...fields } });

/** Only the second of three questions is treated so. */
const onlyOne = (respond: Respond): Respond => (response, asked, before) => (asked.question === 'question 1' ? respond : answer())(response, asked, before);

describe('a request that fails', () => {
  it.each<[string, Respond, number | null, string, string]>([
    ['an error', refuse(400, error({ code: 'context_length_exceeded' }), { 'x-request-id': 'req-7' }), 400, 'context_length_exceeded', 'The server answered 400 (context_length_exceeded).'],
    ['an error without a code', refuse(404, { detail: 'Not Found' }), 404, '404', 'The server answered 404.'],
    ['an error with its type alone', refuse(401, error({ type: 'invalid_request_error', code: null })), 401, 'invalid_request_error', 'The server answered 401 (invalid_request_error).'],
    ['no money left', refuse(429, error({ code: 'insufficient_quota' }), { 'retry-after': '1' }), 429, 'insufficient_quota', 'The server answered 429 (insufficient_quota).'],
    ['an error in the body of a 200', refuse(200, error({ code: 502 })), 502, '502', 'The server answered 502.'],
    ['a 200 that is another API’s', refuse(200, { output: 'text' }), null, 'LLM_CACHE_PROVIDER_ANSWER', 'without a `choices` array'],
    ['HTML', refuse(200, HTML), 200, '200', 'The server answered 200 with text/html instead of JSON. Is --base-url right?'],
    ['HTML with a status', refuse(502, HTML), 502, '502', 'The server answered 502 with text/html instead of JSON'],
    ['half of a JSON text', (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":['), 200, '200', 'The server answered 200 with half a text instead of JSON'],
    ['a redirect', (response) => response.writeHead(308, { location: 'https://example.com/' }).end(), 308, '308', 'The server answered 308, a redirect. Is --base-url right?'],
    ['a cut connection', (response) => cut(response), null, 'UND_ERR_SOCKET', 'The connection to the server failed (UND_ERR_SOCKET).'],
    ['an answer that breaks off', (response) => cut(response, '{"choices":['), null, 'UND_ERR_SOCKET', 'The connection to the server failed (UND_ERR_SOCKET).'],
    ['no answer', () => undefined, null, 'ETIMEDOUT', 'The server took too long (ETIMEDOUT).'],
  ])('with %s has a line that says so; the others go on', async (_what, respond, status, code, message) => {
    cli.write('in.jsonl', lines(3));
    cli.llm.respond = onlyOne(respond);
    const ended = await cli.run('--retries', '0', '--timeout', '500ms', '--ordered');
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(new RegExp(`\nfailed +1 +1 × ${code}\n`));
    expect(ended.stderr).not.toMatch(/question|You asked/);
    const [first, failed, last] = cli.results();
    expect([first!.error, last!.error]).toEqual([null, null]);
    expect(failed!.error).toEqual({ code, message: expect.stringContaining(message) });
    expect(failed!.response?.status_code ?? null).toBe(status);
  });

  it('has what the server said, and its request id, in the output alone', async () => {
    cli.write('in.jsonl', lines(1));
    cli.llm.respond = refuse(400, error({ code: 'bad' }), { 'x-request-id': 'req-7' });
    await cli.run();
    expect(cli.results()[0]!.response).toEqual({ status_code: 400, request_id: 'req-7', body: error({ code: 'bad' }) });
  });

  it('because nobody listens there has the system’s code', async () => {
    cli.write('in.jsonl', lines(2));
    await cli.llm.close();
    const { code, stderr } = await cli.run('--retries', '0');
    expect(code).toBe(1);
    expect(stderr).toMatch(/failed +2 +2 × ECONNREFUSED/);
  });
});

describe('a server in trouble for a while', () => {
  it.each<[string, Respond]>([
    ['cuts connections', (response) => cut(response)],
    ['breaks answers off', (response) => cut(response, '{"choices":[')],
    ['answers 500', refuse(500, error({}))],
    ['answers 503 with HTML', refuse(503, HTML)],
  ])('and %s is asked again', async (_what, respond) => {
    cli.write('in.jsonl', lines(3));
    cli.llm.respond = (response, asked, before) => (before === 0 ? respond : answer())(response, asked, before);
    expect((await cli.run()).code).toBe(0);
    expect(cli.answers()).toEqual(answersTo(3));
    expect(cli.llm.asked).toHaveLength(6);
  });

  it('is not asked again for what would fail again', async () => {
    cli.write('in.jsonl', lines(3));
    cli.llm.respond = refuse(400, error({}));
    await cli.run();
    expect(cli.llm.asked).toHaveLength(3);
  });

  it('and says 429 with Retry-After is left alone for so long, by all requests, and then answers everything', async () => {
    cli.write('in.jsonl', lines(20));
    const startedAtMs = performance.now();
    const refusedAtMs: number[] = [];
    cli.llm.respond = (response, asked, before) => {
      const nowMs = performance.now() - startedAtMs;
      if (nowMs >= 2_000) return answer()(response, asked, before);
      refusedAtMs.push(nowMs);
      refuse(429, error({ code: 'rate_limit_exceeded' }), { 'retry-after': '1' })(response, asked, before);
    };
    const { code, stderr } = await cli.run('--concurrency', '4');
    expect(code).toBe(0);
    expect(stderr).toMatch(/failed +0\n/);
    expect(cli.answers()).toEqual(answersTo(20));
    expect(refusedAtMs.length).toBeLessThanOrEqual(12); // four at a time, a second apart
  });

  it('and says 429 for longer than --retry-for fails what it refuses', async () => {
    cli.write('in.jsonl', lines(2));
    cli.llm.respond = refuse(429, error({ code: 'rate_limit_exceeded' }), { 'retry-after': '60' });
    const { code, stderr } = await cli.run('--retry-for', '30s');
    expect(code).toBe(1);
    expect(stderr).toMatch(/failed +2 +2 × rate_limit_exceeded/);
  });
});
