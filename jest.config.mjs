import { availableParallelism } from 'node:os';

/** @type {import('jest').Config} */
export default {
  roots: ['<rootDir>/test', '<rootDir>/sample-app'],
  testMatch: ['**/*.spec.ts'],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  moduleFileExtensions: ['js', 'mjs', 'cjs', 'ts', 'cts', 'json', 'node'],
  transform: { '^.+\\.c?ts$': '@swc/jest' },
  moduleNameMapper: {
    // The package by its own name is its sources, so the tests need no build.
    '^nestjs-llm-cache$': '<rootDir>/lib/index.ts',
    '^nestjs-llm-cache/sqlite$': '<rootDir>/lib/stores/sqlite/index.ts',
    '^nestjs-llm-cache/redis$': '<rootDir>/lib/stores/redis/index.ts',
    '^nestjs-llm-cache/openai$': '<rootDir>/lib/llm/providers/openai.ts',
    '^nestjs-llm-cache/testing$': '<rootDir>/lib/testing/index.ts',
    // TypeScript names the file it will emit. Emitted files come first: those are what node_modules holds.
    '^(\\.{1,2}/.*)\\.js$': ['$1.js', '$1.ts'],
    '^(\\.{1,2}/.*)\\.cjs$': ['$1.cjs', '$1.cts'],
  },
  setupFilesAfterEnv: ['<rootDir>/test/fixtures/let-ambient-go.ts'],
  // .generated is written and imported by test/docs.spec.ts; apps are projects of their own (scripts/fresh-apps.mjs).
  testPathIgnorePatterns: ['<rootDir>/test/.generated/', '<rootDir>/test/apps/', '/node_modules/'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/dist-sample/', '<rootDir>/test/apps/'],
  maxWorkers: Math.ceil(availableParallelism() * 1.5), // some tests wait for servers and processes
  testTimeout: 20_000, // of a machine that is busy; no test waits for so long
  // What a file has imported as ES modules is never freed in its process; a worker that holds much is replaced.
  workerIdleMemoryLimit: '700MB',
  coverageProvider: 'v8',
  collectCoverageFrom: ['lib/**/*.{ts,cts}'],
  reporters: ['default', '<rootDir>/scripts/jest-tally-reporter.mjs'],
};
