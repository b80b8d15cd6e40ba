import {once} from 'node:events';
import type {Exchange, Intercept, Reply} from '../exchange.ts';
import {type FaultRule, type FaultRuleInput, faultScript} from './fault.ts';
import {type Aftermath, LINK_PARAMETER, linkExpired, strike, uploadUnknown} from './strike.ts';

/** A fault that struck, for tests to check that their script did what it was written for. */
export interface Strike {
  readonly rule: FaultRule;
  readonly method: string;
  /** Without query. */
  readonly path: string;
}

/**
 * Faults by script: each request is struck by the first rule that matches it and is not used up. Give `intercept` to
 * `startSandbox`.
 */
export class FaultScript {
  readonly gates = new Gates();
  readonly #rules: {readonly rule: FaultRule; seen: number; struck: number}[];
  readonly #strikes: Strike[] = [];
  readonly #aftermath: Aftermath = {
    gates: this.gates,
    lostUploads: new Set(),
    links: new Map(),
  };

  /** @throws ZodError for rules that are none */
  constructor(rules: readonly FaultRuleInput[]) {
    this.#rules = faultScript.parse(rules).map((rule) => ({rule, seen: 0, struck: 0}));
  }

  /** Oldest first. */
  get strikes(): readonly Strike[] {
    return this.#strikes;
  }

  readonly intercept: Intercept = (exchange, next) => {
    const after = this.#afterEarlierFaults(exchange);
    if (after !== undefined) return Promise.resolve(after);
    const rule = this.#find(exchange);
    if (rule === undefined) return next();
    const {method, path} = exchange;
    this.#strikes.push({rule, method, path});
    return strike(rule.fault, exchange, next, this.#aftermath);
  };

  #afterEarlierFaults({route, query}: Exchange): Reply | undefined {
    if (route.kind === 'upload' && this.#aftermath.lostUploads.has(route.id))
      return uploadUnknown();
    const link = query.get(LINK_PARAMETER);
    return link !== null && this.#aftermath.links.get(link) !== true ? linkExpired() : undefined;
  }

  #find(exchange: Exchange): FaultRule | undefined {
    // What a redirect led to is the end of a request that was struck already, or passed.
    if (exchange.query.has(LINK_PARAMETER)) return undefined;
    for (const state of this.#rules) {
      if (state.struck >= state.rule.times || !matches(state.rule, exchange)) continue;
      state.seen += 1;
      if (state.seen <= state.rule.skip) continue;
      state.struck += 1;
      return state.rule;
    }
    return undefined;
  }
}

function matches({method, about, path, fault}: FaultRule, exchange: Exchange): boolean {
  if (method !== undefined && method !== exchange.method) return false;
  if (about !== undefined && about !== 'mount' && about !== exchange.route.kind) return false;
  if (about === 'mount' && !isMount(exchange)) return false;
  if (path !== undefined && !exchange.path.includes(path)) return false;
  return isMeantFor(fault.kind, exchange);
}

function isMount({route, query}: Exchange): boolean {
  return route.kind === 'uploads' && query.has('mount');
}

/** Some faults make sense for one kind of request only, also where the rule does not say so. */
function isMeantFor(kind: FaultRule['fault']['kind'], exchange: Exchange): boolean {
  const {method, route} = exchange;
  switch (kind) {
    case 'lose-upload':
    case 'wrong-offset':
      return route.kind === 'upload';
    case 'refuse-digest':
      return route.kind === 'upload' && method === 'PUT';
    case 'decline-mount':
      return isMount(exchange);
    case 'https-location':
      return route.kind === 'upload' || route.kind === 'uploads';
    case 'redirect':
      return route.kind === 'blob' && method === 'GET';
    case 'claim-present':
      return route.kind === 'blob' && method === 'HEAD';
    case 'cut-request':
    case 'cut-answer':
    case 'lose-answer':
    case 'reset':
    case 'stall':
    case 'flip-bit':
    case 'refuse':
    case 'answer':
      return true;
  }
}

interface Gate {
  readonly reached: PromiseWithResolvers<void>;
  readonly opened: PromiseWithResolvers<void>;
}

/** Named gates at which requests wait until the script opens them. */
export class Gates {
  readonly #gates = new Map<string, Gate>();

  /** Resolves when a request waits at the gate, or did before. */
  reached(name: string): Promise<void> {
    return this.#gate(name).reached.promise;
  }

  /** Lets all waiting and future requests through. */
  open(name: string): void {
    this.#gate(name).opened.resolve();
  }

  /** Waits until the gate is open. @throws the signal's reason */
  async wait(name: string, signal: AbortSignal): Promise<void> {
    const {reached, opened} = this.#gate(name);
    reached.resolve();
    const ended = new AbortController();
    try {
      if (!signal.aborted)
        await Promise.race([opened.promise, once(signal, 'abort', {signal: ended.signal})]);
      signal.throwIfAborted();
    } finally {
      ended.abort();
    }
  }

  #gate(name: string): Gate {
    const known = this.#gates.get(name);
    if (known) return known;
    const gate = {
      reached: Promise.withResolvers<void>(),
      opened: Promise.withResolvers<void>(),
    };
    this.#gates.set(name, gate);
    return gate;
  }
}
