import {answerBlob} from './blob-routes.ts';
import type {Exchange} from './exchange.ts';
import {answerCatalog, answerTags} from './list-routes.ts';
import {answerManifest} from './manifest-routes.ts';
import {answerReferrers} from './referrers-route.ts';
import type {Caller, Registry} from './registry.ts';
import {refusal} from './refusal.ts';
import {jsonReply, type Reply} from './reply.ts';
import {answerUpload, answerUploads} from './upload-routes.ts';

/**
 * Answers a request that was let in, by distribution-spec 1.1.
 * @throws Refusal
 */
export async function answerRegistry(
  registry: Registry,
  exchange: Exchange,
  caller: Caller,
): Promise<Reply> {
  const {route} = exchange;
  switch (route.kind) {
    case 'base':
      return jsonReply(200, {});
    case 'catalog':
      return answerCatalog(registry, exchange);
    case 'tags':
      return answerTags(registry, exchange, route);
    case 'manifest':
      return answerManifest(registry, exchange, route);
    case 'blob':
      return answerBlob(registry, exchange, route);
    case 'uploads':
      return answerUploads(registry, exchange, route, caller);
    case 'upload':
      return answerUpload(registry, exchange, route);
    case 'referrers':
      return answerReferrers(registry, exchange, route);
    case 'invalid':
      throw route.refusal;
    case 'token':
    case 'unknown':
      throw refusal(404, 'UNKNOWN', 'there is nothing at this path', exchange.path);
  }
}
