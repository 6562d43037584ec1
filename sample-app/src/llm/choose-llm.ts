import type { ConfigService } from '@nestjs/config';
import type { LlmProvider } from 'nestjs-llm-cache';
import { openAiProvider } from 'nestjs-llm-cache/openai';
import OpenAI from 'openai';

export const CHOSEN_LLM = Symbol('ChosenLlm');

export interface ChosenLlm {
  provider: LlmProvider;
  model: string;
  /** Where the answers come from, in one plain line. */
  announcement: string;
  stop?: () => Promise<void>;
}

const PROBE_MS = 300;

/** Only `LLM_BASE_URL` spends anyone's money. Without it Ollama on this machine answers, or else a canned LLM. */
export async function chooseLlm(config: ConfigService, ollamaUrl = 'http://127.0.0.1:11434'): Promise<ChosenLlm> {
  const baseUrl = config.get<string>('LLM_BASE_URL');
  const chosenModel = config.get<string>('LLM_MODEL');
  if (baseUrl) return configuredLlm(baseUrl, chosenModel ?? 'gpt-4o-mini', config);

  const model = chosenModel ?? 'llama3.2';
  const models = await ollamaModels(ollamaUrl);
  if (models === undefined) return cannedLlm('No LLM found (set LLM_BASE_URL, or start Ollama)');
  if (!models.includes(model) && !models.includes(`${model}:latest`)) {
    return cannedLlm(`Ollama does not have the model (run: ollama pull ${model})`);
  }
  return {
    provider: openAiProvider(new OpenAI({ baseURL: `${ollamaUrl}/v1`, apiKey: 'ollama' })),
    model,
    announcement: `Answers come from Ollama on this machine, model ${model}.`,
  };
}

function configuredLlm(baseUrl: string, model: string, config: ConfigService): ChosenLlm {
  if (!/^https?:/.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw new Error('LLM_BASE_URL must be an address such as https://api.openai.com/v1.');
  }
  const client = new OpenAI({
    baseURL: baseUrl,
    // The SDK refuses to start without a key, and would look for one in variables of its own.
    apiKey: config.get('LLM_API_KEY', 'none'),
    maxRetries: Number(config.get('LLM_RETRIES', '2')),
  });
  return {
    provider: openAiProvider(client),
    model,
    announcement: `Answers come from ${new URL(baseUrl).host}, model ${model}.`,
  };
}

async function cannedLlm(reason: string): Promise<ChosenLlm> {
  // Loaded here only: an app with a real LLM needs no mock server.
  const { startCannedLlm } = await import('./canned-llm.js');
  const server = await startCannedLlm();
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'canned' });
  return {
    // The port changes from start to start, and must not make another key.
    provider: openAiProvider(client, { id: 'canned' }),
    model: 'canned',
    announcement: `${reason}: answers are canned, and times are simulated.`,
    stop: () => server.stop(),
  };
}

/** The models Ollama has, or `undefined` where there is no Ollama. */
async function ollamaModels(ollamaUrl: string): Promise<string[] | undefined> {
  try {
    const response = await fetch(`${ollamaUrl}/api/tags`, { signal: AbortSignal.timeout(PROBE_MS) });
    const { models } = (await response.json()) as { models: Array<{ name: string }> };
    return models.map(({ name }) => name);
  } catch {
    return undefined;
  }
}
