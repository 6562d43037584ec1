import type { ChatRequest } from '../chat.js';

/** English prose in today's tokenizers; what is wrong is corrected by each answer's usage. */
const CHARACTERS_PER_TOKEN = 4;
/** How much a new answer's length counts in the average. */
const WEIGHT = 0.1;

/** Foretells the tokens of a request and its answer, the way providers count them against a limit: before it is answered. */
export class TokenEstimate {
  private outputTokens = 0;

  /** Its question by length, its answer by the most it may be, or by those before. */
  of(request: ChatRequest): number {
    const { messages, tools, max_tokens: most = request['max_completion_tokens'] } = request;
    return Math.ceil(lengthOf([messages, tools]) / CHARACTERS_PER_TOKEN) + (typeof most === 'number' && most > 0 ? most : Math.ceil(this.outputTokens));
  }

  learn(outputTokens: number): void {
    this.outputTokens += (outputTokens - this.outputTokens) * (this.outputTokens === 0 ? 1 : WEIGHT);
  }
}

function lengthOf(question: unknown): number {
  try {
    return JSON.stringify(question).length;
  } catch {
    return 0; // it is the LlmProvider's to say what it makes of it
  }
}
