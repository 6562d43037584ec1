import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, jsonSchema, streamText, tool } from 'ai';
import { OpenAI } from 'openai';

/** An answer as far as each client shows it. */
export interface Answer {
  text: string;
  toolCalls: Array<{ id: string; name: string; input: unknown }>;
  finishReason: string | undefined;
  /** Tokens of the question and of the answer. */
  usage: [input: number | undefined, output: number | undefined];
}

export interface Ask {
  stream: boolean;
  tools?: boolean;
  signal?: AbortSignal;
  /** Is told each piece of a streamed text. */
  onText?: (text: string) => void;
}

/** A real client of an OpenAI-compatible endpoint. */
export interface ChatClient {
  name: string;
  ask(baseURL: string, fetch: typeof globalThis.fetch, question: string, how: Ask): Promise<Answer>;
}

const parameters = { type: 'object' as const, properties: { city: { type: 'string' as const } }, required: ['city'] };
const functionTool = { type: 'function' as const, function: { name: 'weather', description: 'The weather', parameters } };

const openai: ChatClient = {
  name: 'openai',
  async ask(baseURL, fetch, question, { stream, tools, signal, onText }) {
    const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0, fetch });
    const request = { model: 'test-model', messages: [{ role: 'user' as const, content: question }], ...(tools ? { tools: [functionTool] } : {}) };
    const streamed = stream ? client.chat.completions.stream({ ...request, stream_options: { include_usage: true } }, { signal }) : undefined;
    streamed?.on('content', (text) => onText?.(text));
    const { choices, usage } = streamed === undefined ? await client.chat.completions.create(request, { signal }) : await streamed.finalChatCompletion();
    const { message, finish_reason: finishReason } = choices[0]!;
    const toolCalls = (message.tool_calls ?? []).flatMap((call) => {
      return call.type === 'function' ? [{ id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments) as unknown }] : [];
    });
    return { text: message.content ?? '', toolCalls, finishReason, usage: [usage?.prompt_tokens, usage?.completion_tokens] };
  },
};

const langchain: ChatClient = {
  name: '@langchain/openai',
  async ask(baseURL, fetch, question, { stream, tools, signal, onText }) {
    const model = new ChatOpenAI({ model: 'test-model', apiKey: 'none', maxRetries: 0, configuration: { baseURL, fetch } });
    const runnable = tools ? model.bindTools([functionTool]) : model;
    let message = stream ? undefined : await runnable.invoke([new HumanMessage(question)], { signal });
    if (message === undefined) {
      for await (const chunk of await runnable.stream([new HumanMessage(question)], { signal })) {
        message = message === undefined ? chunk : message.concat(chunk);
        if (chunk.text) onText?.(chunk.text);
      }
    }
    const { text, tool_calls: calls, response_metadata: metadata, usage_metadata: usage } = message!;
    return {
      text,
      toolCalls: (calls ?? []).map(({ id, name, args }) => ({ id: id!, name, input: args })),
      finishReason: metadata['finish_reason'] as string,
      usage: [usage?.input_tokens, usage?.output_tokens],
    };
  },
};

const aiSdk: ChatClient = {
  name: 'ai with @ai-sdk/openai-compatible',
  async ask(baseURL, fetch, prompt, { stream, tools, signal, onText }) {
    const model = createOpenAICompatible({ name: 'cache', baseURL, fetch, includeUsage: true })('test-model');
    const weather = tool({ description: 'The weather', inputSchema: jsonSchema(parameters) });
    const call = { model, prompt, maxRetries: 0, abortSignal: signal, ...(tools ? { tools: { weather } } : {}) };
    if (!stream) return answerOf(await generateText(call));
    let failure: unknown;
    const result = streamText({ ...call, onError: ({ error }) => void (failure ??= error) });
    for await (const part of result.fullStream) {
      if (part.type === 'text-delta') onText?.(part.text);
      if (part.type === 'abort') failure ??= signal!.reason;
    }
    // An error in the middle of a stream is shown as the body it came as.
    if (failure !== undefined) throw failure instanceof Error ? failure : new Error((failure as Error).message);
    const [text, toolCalls, finishReason, usage] = await Promise.all([result.text, result.toolCalls, result.finishReason, result.totalUsage]);
    return answerOf({ text, toolCalls, finishReason, usage });
  },
};

interface AiSdkAnswer {
  text: string;
  toolCalls: Array<{ toolCallId: string; toolName: string; input: unknown }>;
  finishReason: string;
  usage: { inputTokens: number | undefined; outputTokens: number | undefined };
}

function answerOf({ text, toolCalls, finishReason, usage }: AiSdkAnswer): Answer {
  return {
    text,
    toolCalls: toolCalls.map(({ toolCallId, toolName, input }) => ({ id: toolCallId, name: toolName, input })),
    finishReason,
    usage: [usage.inputTokens, usage.outputTokens],
  };
}

export const clients: readonly ChatClient[] = [openai, langchain, aiSdk];
