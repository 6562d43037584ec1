import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Header,
  HttpCode,
  type INestApplication,
  Injectable,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Req,
  Scope,
  SetMetadata,
  UseGuards,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { CacheLlm, LlmCacheModule } from 'nestjs-llm-cache';
import request from 'supertest';

const upstream: string[] = [];
let seen: Record<string, unknown> = {};

@Injectable()
class TokenGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    const handler = context.getHandler();
    seen = {
      name: handler.name,
      length: handler.length,
      above: this.reflector.get<string>('above', handler),
      below: this.reflector.get<string>('below', handler),
    };
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return headers['x-token'] === 'yes';
  }
}

class TicketsRoutes {
  @SetMetadata('above', 'A')
  @CacheLlm()
  @Get('outside/:id')
  @HttpCode(202)
  @Header('x-flavour', 'outside')
  @UseGuards(TokenGuard)
  @SetMetadata('below', 'B')
  async outside(@Param('id', ParseIntPipe) id: number, @Query('tone') tone: string): Promise<object> {
    upstream.push(`outside ${typeof id} ${id} ${tone}`);
    return { id, tone };
  }

  @SetMetadata('above', 'A')
  @UseGuards(TokenGuard)
  @Header('x-flavour', 'inside')
  @HttpCode(202)
  @Get('inside/:id')
  @CacheLlm()
  @SetMetadata('below', 'B')
  async inside(@Param('id', ParseIntPipe) id: number, @Query('tone') tone: string): Promise<object> {
    upstream.push(`inside ${typeof id} ${id} ${tone}`);
    return { id, tone };
  }

  @CacheLlm()
  @Post('outside')
  @HttpCode(200)
  async postOutside(@Body() body: { text: string }): Promise<object> {
    upstream.push(`post ${body.text}`);
    return { summary: body.text };
  }

  @Post('inside')
  @HttpCode(200)
  @CacheLlm()
  async postInside(@Body() body: { text: string }): Promise<object> {
    upstream.push(`post ${body.text}`);
    return { summary: body.text };
  }
}

@Controller('default')
class DefaultController extends TicketsRoutes {
  @Get('whole-request')
  @CacheLlm()
  async wholeRequest(@Req() req: { url: string }): Promise<object> {
    upstream.push('whole request');
    return { url: req.url };
  }
}

@Controller({ path: 'request', scope: Scope.REQUEST })
class RequestController extends TicketsRoutes {}

describe('@CacheLlm on controllers, over HTTP', () => {
  let app: INestApplication;
  let server: ReturnType<NestExpressApplication['getHttpServer']>;

  beforeAll(async () => {
    const moduleRef = await Test.createTestingModule({
      imports: [LlmCacheModule.forRoot()],
      controllers: [DefaultController, RequestController],
      providers: [TokenGuard],
    }).compile();
    app = await moduleRef.createNestApplication<NestExpressApplication>({ logger: false }).init();
    server = app.getHttpServer() as typeof server;
  });

  afterAll(() => app.close());

  afterEach(() => {
    upstream.length = 0;
    seen = {};
  });

  describe.each(['default', 'request'])('a controller of %s scope', (scope) => {
    describe.each(['outside', 'inside'])('@CacheLlm %s of the route decorator', (place) => {
      it('answers a repeated GET from the cache, with status, header and typed parameters', async () => {
        const get = () => request(server).get(`/${scope}/${place}/7?tone=dry`).set('x-token', 'yes');
        const first = await get();
        const second = await get();
        for (const response of [first, second]) {
          expect(response.status).toBe(202);
          expect(response.headers['x-flavour']).toBe(place);
          expect(response.body).toEqual({ id: 7, tone: 'dry' });
        }
        expect(upstream).toEqual([`${place} number 7 dry`]);
      });

      it('tells route and query parameters apart', async () => {
        const get = (path: string) => request(server).get(`/${scope}/${place}/${path}`).set('x-token', 'yes').expect(202);
        await get('8?tone=dry');
        await get('8?tone=warm');
        await get('9?tone=dry');
        expect(upstream).toHaveLength(3);
      });

      it('asks the guard on a would-be hit too: 403', async () => {
        await request(server).get(`/${scope}/${place}/7?tone=dry`).set('x-token', 'yes').expect(202);
        await request(server).get(`/${scope}/${place}/7?tone=dry`).expect(403);
      });

      it('lets the pipe refuse: 400', async () => {
        await request(server).get(`/${scope}/${place}/seven`).set('x-token', 'yes').expect(400);
        expect(upstream).toEqual([]);
      });

      it('shows guards the metadata of both sides, the name and the length', async () => {
        await request(server).get(`/${scope}/${place}/7?tone=dry`).set('x-token', 'yes').expect(202);
        expect(seen).toEqual({ name: place, length: 2, above: 'A', below: 'B' });
      });

      it('answers a repeated POST from the cache, by its body', async () => {
        const post = (text: string) => request(server).post(`/${scope}/${place}`).send({ text }).expect(200);
        expect((await post(`a ${scope} ${place}`)).body).toEqual({ summary: `a ${scope} ${place}` });
        expect((await post(`a ${scope} ${place}`)).body).toEqual({ summary: `a ${scope} ${place}` });
        await post(`b ${scope} ${place}`);
        expect(upstream).toEqual([`post a ${scope} ${place}`, `post b ${scope} ${place}`]);
      });
    });
  });

  it('serves a route that takes the whole request uncached, rather than failing or mixing callers up', async () => {
    await request(server).get('/default/whole-request').expect(200, { url: '/default/whole-request' });
    await request(server).get('/default/whole-request').expect(200);
    expect(upstream).toHaveLength(2);
  });
});
