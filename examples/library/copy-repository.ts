// Copies all tags of a repository that look like versions: node copy-repository.ts SOURCE DESTINATION
import {
  applyPlan,
  type Credentials,
  openSession,
  planCopy,
  type RunEvent,
  TransshipError,
  verifyPlan,
} from 'transship';

const [source = '', destination = ''] = process.argv.slice(2);

const logins = new Map<string, Credentials>([
  ['registry.example.com', {kind: 'basic', username: 'ci', password: 'secret'}],
]);

// The first Ctrl-C finishes what is under way; applying again continues from there.
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const session = openSession({
  credentials: ({host}) => logins.get(host),
  stopping: stop.signal,
  onEvent: print,
});
try {
  const plan = await planCopy(session, {source, destination, filters: {tags: ['v*']}});
  console.log(`${plan.totals.steps} images to copy, ${plan.totals.bytes} bytes`);
  const run = await applyPlan(session, plan, {journal: 'copy.journal.ndjson'});
  console.log(`the run is ${run.result}`);
  const {checked, differences} = await verifyPlan(session, plan);
  console.log(`${checked.tags} tags verified, ${differences.length} differences`);
} catch (error) {
  if (!(error instanceof TransshipError)) throw error;
  console.error(`${error.side}: ${error.message} [${error.code}]`);
  console.error(error.retry ? 'run it again later' : error.hint);
  process.exitCode = 1;
} finally {
  await session.close();
}

function print(event: RunEvent): void {
  switch (event.type) {
    case 'step-ended':
      console.log(`${event.step}: ${event.outcome}`);
      break;
    case 'retrying':
      console.log(`${event.what}: trying again in ${event.delayMs} ms`);
      break;
    case 'notice':
      console.log(event.message);
      break;
    default:
    // More types may be added: ignore those that you do not know.
  }
}
