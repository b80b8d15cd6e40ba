import type {NextCommand, TransferStanding} from '../model/outcome.ts';
import {counted} from './words.ts';

/** What a command is for. */
const PURPOSES = {
  apply: 'to resume',
  'apply --adopt-new-tags': 'to include the new tags',
  rollback: 'to put the images back',
  plan: '',
} as const satisfies Record<NextCommand, string>;

/** Where the images of a transfer are, whether its cleanup policy is off, and the commands that work now. */
export function standingText(standing: TransferStanding, planFile: string | undefined): string {
  const {isPaused, from, next} = standing;
  const paused = isPaused ? ` The cleanup policy of ${from} is switched off.` : '';
  const commands = next.map((command) => nextText(command, planFile));
  const advice = commands.length === 0 ? '' : ` Next: ${commands.join('; or ')}.`;
  return `${placesText(standing)}${paused}${advice}`;
}

/** The command as it is typed; a plan is made anew with the flags that it was made with. */
export function nextCommand(command: NextCommand, planFile = 'PLAN'): string {
  const [name, ...flags] = command.split(' ');
  return command === 'plan'
    ? 'transship plan transfer'
    : ['transship', name, planFile, ...flags].join(' ');
}

function nextText(command: NextCommand, planFile: string | undefined): string {
  if (command === 'plan') return 'plan again';
  return `"${nextCommand(command, planFile)}" ${PURPOSES[command]}`;
}

function placesText({project, from, to, images, donor: place}: TransferStanding): string {
  const {total, donor, target} = images;
  if (project === 'before') {
    return donor === 0
      ? `Nothing is gone from the old path ${from}.`
      : `${counted(donor, 'tag')} of ${from} ${donor === 1 ? 'is' : 'are'} gone from the old path and ${waits(donor, place)}.`;
  }
  const rest = donor === 0 ? '' : `; ${counted(donor, 'tag')} ${waits(donor, place)}`;
  return project === 'after'
    ? `The project is at ${to} with ${target} of ${counted(total, 'tag')}${rest}.`
    : `The project has left ${from} and is not at ${to} yet${rest}.`;
}

function waits(tags: number, place: string): string {
  return `${tags === 1 ? 'waits' : 'wait'} at ${place}`;
}
