import { Test } from '@nestjs/testing';
import { FakeLlmProvider, LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import { TicketsService } from './tickets.service';

it('pays for the same ticket once', async () => {
  const provider = new FakeLlmProvider('The invoice is wrong.');
  const moduleRef = await Test.createTestingModule({
    imports: [LlmCacheTestingModule.forRoot({ provider })],
    providers: [TicketsService],
  }).compile();
  const tickets = moduleRef.get(TicketsService);

  expect(await tickets.summary('My invoice ...')).toBe('The invoice is wrong.');
  expect(await tickets.summary('My invoice ...')).toBe('The invoice is wrong.');
  expect(provider.calls).toHaveLength(1);
});
