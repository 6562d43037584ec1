import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { CacheLlmInterceptor } from './cache-llm.interceptor.js';
import { methodsOf } from './cached-method.js';
import { CACHE_LLM_INTERCEPTOR, hostOf, setHost } from './host.js';

/**
 * Nest injects no properties into what `useFactory` and `useValue` make, so those get their host here, before other
 * modules' `onModuleInit`. And it finds two classes with one cache identity while the app starts.
 */
@Injectable()
export class CacheLlmExplorer implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    @Inject(CACHE_LLM_INTERCEPTOR) private readonly interceptor: CacheLlmInterceptor,
  ) {}

  /** @throws LlmCacheConfigError when two methods have one cache identity. */
  onModuleInit(): void {
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      if (wrapper.isDependencyTreeStatic()) this.visit(wrapper.instance as unknown);
    }
  }

  private visit(instance: unknown): void {
    if (typeof instance !== 'object' || instance === null) return;
    const prototype = prototypeOf(instance);
    const methods = methodsOf(prototype);
    if (methods.length === 0) return;
    // An instance may have served an app that is closed by now.
    if (hostOf(instance)?.isClosed ?? true) setHost(instance, this.interceptor);
    if (hostOf(instance) !== this.interceptor) return;
    for (const method of methods) this.interceptor.claim(method, prototype!.constructor);
  }
}

/** A provider may be a Proxy that lets nobody look. */
function prototypeOf(instance: object): { constructor: { name: string } } | null {
  try {
    return Object.getPrototypeOf(instance) as { constructor: { name: string } } | null;
  } catch {
    return null;
  }
}
