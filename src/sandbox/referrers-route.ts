import {OCI_INDEX} from '../model/media-type.ts';
import type {Exchange} from './exchange.ts';
import {methodRefused, type Registry} from './registry.ts';
import {refusal} from './refusal.ts';
import {jsonReply, type Reply} from './reply.ts';
import type {RouteOf} from './route.ts';

/** `GET /v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers"): an index, empty where there are none. */
export async function answerReferrers(
  {storage, flavour}: Registry,
  exchange: Exchange,
  {repository, digest}: RouteOf<'referrers'>,
): Promise<Reply> {
  if (!flavour.referrers) throw refusal(404, 'UNKNOWN', 'there is no referrers API here');
  if (exchange.method !== 'GET') throw methodRefused(exchange);
  const wanted = exchange.query.get('artifactType');
  const all = await storage.manifests.referrers(repository, digest);
  const manifests = all.filter(({artifactType}) => wanted === null || artifactType === wanted);
  return jsonReply(
    200,
    {schemaVersion: 2, mediaType: OCI_INDEX, manifests},
    {
      'content-type': OCI_INDEX,
      ...(wanted === null ? {} : {'oci-filters-applied': 'artifactType'}),
    },
  );
}
