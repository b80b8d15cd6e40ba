import {once} from 'node:events';
import type {Exchange, Intercept, Reply} from '../exchange.ts';
import {type FaultRule, type FaultRuleInput, faultScript} from './fault.ts';
import {type FaultState, inject, LINK_PARAMETER, linkExpired, uploadUnknown} from './inject.ts';

/** A fault that was injected; with it, tests check that their script took effect. */
export interface InjectedFault {
  readonly rule: FaultRule;
  readonly method: string;
  /** Without query. */
  readonly path: string;
}

/**
 * Injects faults by script: the first rule that matches a request and is not used up applies. Pass `intercept` to
 * `startSandbox`.
 */
export class FaultScript {
  readonly gates = new Gates();
  readonly #rules: {readonly rule: FaultRule; seen: number; injected: number}[];
  readonly #injected: InjectedFault[] = [];
  readonly #state: FaultState = {
    gates: this.gates,
    lostUploads: new Set(),
    links: new Map(),
  };

  /** @throws ZodError for invalid rules */
  constructor(rules: readonly FaultRuleInput[]) {
    this.#rules = faultScript.parse(rules).map((rule) => ({rule, seen: 0, injected: 0}));
  }

  /** Oldest first. */
  get injected(): readonly InjectedFault[] {
    return this.#injected;
  }

  readonly intercept: Intercept = (exchange, next) => {
    const after = this.#afterEarlierFaults(exchange);
    if (after !== undefined) return Promise.resolve(after);
    const rule = this.#find(exchange);
    if (rule === undefined) return next();
    const {method, path} = exchange;
    this.#injected.push({rule, method, path});
    return inject(rule.fault, exchange, next, this.#state);
  };

  #afterEarlierFaults({route, query}: Exchange): Reply | undefined {
    if (route.kind === 'upload' && this.#state.lostUploads.has(route.id)) return uploadUnknown();
    const link = query.get(LINK_PARAMETER);
    return link !== null && this.#state.links.get(link) !== true ? linkExpired() : undefined;
  }

  #find(exchange: Exchange): FaultRule | undefined {
    // The target of a redirect belongs to a request that was handled already.
    if (exchange.query.has(LINK_PARAMETER)) return undefined;
    for (const entry of this.#rules) {
      if (entry.injected >= entry.rule.times || !matches(entry.rule, exchange)) continue;
      entry.seen += 1;
      if (entry.seen <= entry.rule.skip) continue;
      entry.injected += 1;
      return entry.rule;
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

/** Some faults apply to one kind of request only, even if the rule does not restrict it. */
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

  /** Resolves when a request waits, or has waited, at the gate. */
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
