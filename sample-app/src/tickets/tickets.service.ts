import { Injectable } from '@nestjs/common';
import { CacheLlm, LlmService } from 'nestjs-llm-cache';
import { CATEGORIES, parseTriage, PRIORITIES, type Triage } from './triage.js';

const SUMMARIZE = 'Summarize the support ticket in one sentence, for the colleague who takes it over.';
const REPLY = 'Reply to the support ticket, friendly and to the point, as the support team would.';
const TRIAGE =
  'Triage the support ticket. Answer with JSON: ' +
  `{ "priority": one of ${PRIORITIES.join(', ')}; "category": one of ${CATEGORIES.join(', ')}; "needsHuman": true or false }.`;

@Injectable()
export class TicketsService {
  constructor(private readonly llm: LlmService) {}

  @CacheLlm({ model: { temperature: 0, max_tokens: 120 } })
  async summary(ticket: string): Promise<string> {
    return this.llm.text([
      { role: 'system', content: SUMMARIZE },
      { role: 'user', content: ticket },
    ]);
  }

  @CacheLlm({ model: { temperature: 0, max_tokens: 500 } })
  async *reply(ticket: string): AsyncGenerator<string> {
    const messages = [
      { role: 'system', content: REPLY },
      { role: 'user', content: ticket },
    ];
    for await (const { choices } of this.llm.stream({ messages })) {
      const text = choices[0]?.delta.content;
      if (text) yield text;
    }
  }

  @CacheLlm({ ttl: '12h', model: { temperature: 0, max_tokens: 200, response_format: { type: 'json_object' } } })
  async triage(ticket: string): Promise<Triage> {
    const messages = [
      { role: 'system', content: TRIAGE },
      { role: 'user', content: ticket },
    ];
    // Only the parsed triage is worth keeping: a stored answer that does not parse would fail until it expires.
    const answer = await this.llm.text(messages, {}, { noStore: true });
    return parseTriage(answer);
  }
}
