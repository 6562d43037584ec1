import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { HealthController } from './health.controller.js';

/** `GET /health`: 200 also while a store is gone, since the app answers without it; `degraded` tells. */
@Module({ imports: [TerminusModule], controllers: [HealthController] })
export class HealthModule {}
